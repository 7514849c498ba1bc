"""Where each chunk lies in the world, by all that links it to others."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from fast3r.geometry.pose_graph import Links, follow_links, solve_pose_graph
from fast3r.geometry.transforms import Similarity
from fast3r.scene.long.linking import Link


@dataclass(frozen=True)
class Placement:
    """Where the chunks are."""

    world_from_chunk: list[Similarity | None]
    """None for chunks that are tied to the others by no link."""

    reasons: list[str | None]
    """Why a chunk is not placed."""

    kept: list[bool]
    """For each link whether the scene rests on it."""


def place_chunks(registered: Sequence[int], links: Sequence[Link]) -> Placement:
    """Return the chunks in the world of the first of the largest part that hangs together.

    Args:
        registered: Views with a camera in each chunk; they say how large a part is.
        links: Between chunks. Loops alone hold nothing together.
    """
    parts = _parts(len(registered), links)
    part = max(parts, key=lambda part: sum(registered[chunk] for chunk in part))
    reasons = _reasons(parts, part, links)
    node_of = {chunk: node for node, chunk in enumerate(part)}
    used = [
        i
        for i, link in enumerate(links)
        if link.reason is None and link.first in node_of and link.second in node_of
    ]
    places: list[Similarity | None] = [None] * len(registered)
    kept = [False] * len(links)
    if not used:
        places[part[0]] = Similarity.identity()
        return Placement(places, reasons, kept)
    graph = _as_links([links[i] for i in used], node_of)
    solved = solve_pose_graph(follow_links(graph, len(part)), graph)
    for chunk, node in node_of.items():
        places[chunk] = solved.world_from_node[node]
    for place, i in enumerate(used):
        kept[i] = bool(solved.kept[place])
    return Placement(places, reasons, kept)


def _as_links(links: Sequence[Link], node_of: dict[int, int]) -> Links:
    """Return links between some chunks, by the nodes that these are of a pose graph."""
    firsts = [link.first_from_joint for link in links if link.first_from_joint is not None]
    seconds = [link.second_from_joint for link in links if link.second_from_joint is not None]
    assert len(firsts) == len(seconds) == len(links)
    return Links(
        first=torch.tensor([node_of[link.first] for link in links]),
        second=torch.tensor([node_of[link.second] for link in links]),
        first_from_joint=Similarity.stack(firsts),
        second_from_joint=Similarity.stack(seconds),
        sigma=torch.stack([link.sigma for link in links]),
        doubted=torch.tensor([link.loop for link in links]),
    )


def _parts(count: int, links: Sequence[Link]) -> list[list[int]]:
    """Return the chunks, in order, of the parts that overlaps tie together."""
    neighbours: list[set[int]] = [set() for _ in range(count)]
    for link in links:
        if link.reason is None and not link.loop:
            neighbours[link.first].add(link.second)
            neighbours[link.second].add(link.first)
    parts, waiting = [], set(range(count))
    while waiting:
        part: set[int] = set()
        border = {min(waiting)}
        while border:
            part |= border
            border = {n for chunk in border for n in neighbours[chunk]} - part
        waiting -= part
        parts.append(sorted(part))
    return parts


def _reasons(
    parts: Sequence[Sequence[int]], placed: Sequence[int], links: Sequence[Link]
) -> list[str | None]:
    """Say for each chunk why it is not placed: what keeps its part from the others."""
    reasons: dict[int, str | None] = dict.fromkeys(placed)
    for part in parts:
        failed = [
            f"chunks {link.first} and {link.second}: {link.reason}"
            for link in links
            if not link.loop and (link.first in part) != (link.second in part)
        ]
        for chunk in part:
            reasons.setdefault(chunk, failed[0] if failed else "it shares no views with others")
    return [reasons[chunk] for chunk in range(len(reasons))]
