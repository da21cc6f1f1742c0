"""What back-translated pairs bring beside genuine ones."""
