"""The coding service: it codes medical stays and finds the diagnoses that were documented but not coded."""
