"""A patient's stay in hospital and the diagnoses coded for it."""
