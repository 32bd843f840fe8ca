"""Raw upstream files in, records out: the contract is `record.SCHEMA`, the sources are in catalog.yaml."""
