"""What strangers' files need: archives, pickles, spreadsheets, videos, features."""
