"""What happened: records, the chain they are linked in, and the AuditEvents they are seen as."""
