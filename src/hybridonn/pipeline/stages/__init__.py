"""One file a stage: thin, between the run folder and the rooms below."""
