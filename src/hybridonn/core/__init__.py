"""What every room uses: strict YAML, randomness, and foreign files read in a process apart."""
