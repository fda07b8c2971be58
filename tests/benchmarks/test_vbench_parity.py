"""The comparison with VBench's own packages: its page, and the names of RAFT's tensors."""

from __future__ import annotations

from torchvision.models.optical_flow import raft_large

from benchmarks.vbench_parity import _section
from benchmarks.vbench_reference import PARTS, _with_aliases, original_name
from tests.parity import BESIDE, Parity, page, section_of, with_section

ROW = Parity(metric="m", reference="r", tolerance=0, difference=0, unit="px", test="t")


def test_either_writer_keeps_the_other_s_part() -> None:
    """`make parity` and the benchmark write one page, in any order and again."""
    section = "\n".join(_section([ROW], ["part: reason"], {"vbench": "0.1.5"})) + "\n"
    tests = page([ROW])

    both = with_section(tests, section)

    assert (section, "") == (section_of(both), section_of(tests))
    assert both == with_section(both, section) == with_section(tests, section_of(both))
    assert both.startswith(tests.rstrip())
    assert 1 == both.count(BESIDE)
    assert "| `m` | r | 0 | 0 | px |\n" in section
    assert "\n- part: reason\n" in section


def test_every_tensor_of_raft_has_a_name_of_its_authors() -> None:
    """179 of them, with the second names that norms in a downsampling have."""
    state = raft_large(weights=None, progress=False).state_dict()

    names = _with_aliases({original_name(name): value for name, value in state.items()})

    assert 179 == len(names)
    assert {"fnet.conv2.weight", "update_block.mask.2.bias", "cnet.layer2.0.norm3.weight"} <= set(
        names
    )
    assert not [name for name in names if "convnormrelu" in name or "motion_encoder" in name]


def test_each_part_is_asked_of_both_sides() -> None:
    """What the reference answers is compared, and nothing else is expected."""
    from benchmarks.vbench_parity import PARTS as COMPARED

    assert sorted(COMPARED) == sorted(part.__name__.lstrip("_") for part in PARTS)
