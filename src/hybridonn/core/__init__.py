"""What every room uses: randomness, and reading of foreign files in a process apart."""
