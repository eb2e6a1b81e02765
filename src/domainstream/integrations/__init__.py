"""One folder per framework, on top of the arrow: nothing else imports them, and each needs an extra of its own."""
