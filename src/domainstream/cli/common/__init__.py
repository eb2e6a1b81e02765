"""What all commands share: declaring options, running, output, exit codes and confirmation."""
