"""The rules: functions from a project to findings, one module per family, all listed in `engine`."""
