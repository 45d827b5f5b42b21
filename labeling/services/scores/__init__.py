"""What reward models say of responses: taken in, and what follows from it for whom to ask what next."""
