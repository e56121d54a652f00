"""The tests: one folder for each room of the library, and two files about the house itself."""
