"""Says in English what a script shows."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.synthetic_clips.script import Character, Prop

_MOVES = {
    "pan": "the camera pans {way}",
    "pan_and_return": "the camera pans {way}, leaves them behind and comes back",
    "arrive": "the camera pans {way} until it finds them",
    "push_in": "the camera slowly moves in",
    "pull_out": "the camera slowly moves back",
    "follow": "the camera follows",
}


_PREPOSITIONS = {"street": "on", "beach": "on", "station": "at"}


def article(words: str) -> str:
    """The words after "a" or "an"."""
    return f"{'an' if words[0].lower() in 'aeio' else 'a'} {words}"


def listed(parts: Sequence[str]) -> str:
    """One, two or more: "a", "a and b", "a, b and c"."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def looks(character: Character) -> str:
    """Noun, hair, face and clothes: "woman with curly red hair and a striped green shirt"."""
    traits = []
    noun = character.noun
    if character.hair_style == "bald":
        noun = f"bald {noun}"
    else:
        traits.append(character.hair_name)
    if character.beard != "none":
        traits.append(f"a {character.beard}")
    if character.glasses != "none":
        traits.append(f"{character.glasses} glasses")
    if character.hat != "none":
        traits.append({"beanie": "a beanie", "cap": "a cap", "hat": "a brimmed hat"}[character.hat])
    traits.append(article(f"{character.top_name} {character.top_kind}"))
    return f"{noun} with {listed(traits)}"


def clothes(character: Character) -> str:
    """Everything worn, for the ground truth."""
    top = article(f"{character.top_name} {character.top_kind}")
    if character.top_kind == "dress":
        return top
    bottom = f"{character.bottom_name} {character.bottom_kind}"
    return f"{top} and {article(bottom) if character.bottom_kind == 'skirt' else bottom}"


def camera_words(move: str, way: str) -> str:
    """What the camera does; way is "left" or "right"."""
    return _MOVES[move].format(way=way)


def setting(kind: str, name: str) -> str:
    """Where: "in a cafe with a brick wall", "on a sandy beach by the sea"."""
    return f"{_PREPOSITIONS.get(kind, 'in')} {name}"


def setting_again(kind: str, name: str) -> str:
    """Where again: "back in the cafe with a brick wall"."""
    return f"back {_PREPOSITIONS.get(kind, 'in')} the {name.split(' ', 1)[1]}"


def sentence(words: str) -> str:
    """The words as one sentence."""
    return f"{words[0].upper()}{words[1:]}."


def surroundings(props: Sequence[Prop]) -> str:
    """Up to two of the props, those with print on them first."""
    names: list[str] = []
    for prop in sorted(props, key=lambda p: p.text is None):
        if prop.name not in names:
            names.append(prop.name)
    return listed(names[:2])
