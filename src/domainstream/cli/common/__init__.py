"""What all commands that look at a server have in common: options, output, errors, exit codes. One file each."""
