"""Versions, histories, the ledger and what processes share, in MongoDB; the home of pymongo."""
