"""Who may see what of a patient, as the patient's Consents say, and why."""
