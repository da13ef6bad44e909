"""Errors of the package's readers; the stages report them with the codes INVALID_SPLAT and INVALID_SCENE."""


class InvalidSplatError(Exception):
    """A file is not a readable splat; the message names the file and what is wrong with it."""


class InvalidSceneError(Exception):
    """A file beside the splat (views, surroundings, georeference) is malformed; the message names it."""
