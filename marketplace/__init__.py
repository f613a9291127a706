"""The words everyone uses: slots, money, people, institutions, listings. Owns them; reads no other floor."""
