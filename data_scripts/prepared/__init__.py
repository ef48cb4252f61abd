"""What every prepared dataset needs: options of a command, a card, a split, a folder."""
