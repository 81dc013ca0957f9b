"""The database that descgen and recognize share: schema, store, review decisions, and the names of classes."""
