"""Digital teachers, built in or named by the user."""
