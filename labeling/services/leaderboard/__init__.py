"""Models by how people ranked their responses: `leaderboard.board(project, scope)`. For managers: others rank blind."""

from labeling.services.leaderboard.board import METHODS, Board, Duel, Method, Part, Place, board, of_rankings

__all__ = ["METHODS", "Board", "Duel", "Method", "Part", "Place", "board", "of_rankings"]
