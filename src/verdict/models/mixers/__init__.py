"""Mixers over time: the part that is swapped. ``mixer_class`` is the only place that maps a name to a class."""

import importlib

from verdict.errors import UserError
from verdict.models.mixers.base import Mixer
from verdict.models.settings import MIXERS


def mixer_class(name: str) -> type[Mixer]:
    """The mixer class of a registered name or an import path ``package.module:Class``.

    An import path runs the code of that module: name only modules you trust.
    Raises ``UserError`` if the name is unknown, cannot be imported or is not a ``Mixer``.
    """
    path = MIXERS[name].path if name in MIXERS else name
    module, separator, attribute = path.partition(":")
    if not separator:
        raise UserError(f"mixer '{name}' is unknown; write one of {', '.join(MIXERS)} or an import path module:Class")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise UserError(f"mixer '{name}' cannot be imported ({error})") from error
    if not (isinstance(found, type) and issubclass(found, Mixer)):
        raise UserError(f"mixer '{name}' is not a subclass of verdict.models.mixers.base.Mixer")
    return found
