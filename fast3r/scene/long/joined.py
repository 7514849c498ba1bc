"""From the scenes of all chunks to one."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from fast3r.scene.chunk_record import ChunkRecord, LinkRecord, LongRecord
from fast3r.scene.long.assembly import Assembly, Placed, blended, moved, owner
from fast3r.scene.long.chunking import Chunk, Plan
from fast3r.scene.long.linking import Link, link_loop, link_neighbours, shared_views
from fast3r.scene.long.loops import LoopCandidate, loop_candidates
from fast3r.scene.long.passes import Passes, chunk_name
from fast3r.scene.long.placing import Placement, place_chunks
from fast3r.scene.reconstruction import Reconstruction
from fast3r.views.view import Views


def link_chunks(passes: Passes, plan: Plan) -> list[Link]:
    """Return the links between all chunks that share at least two views."""
    pairs = [
        (first, second, shared)
        for first in range(len(plan.chunks))
        for second in range(first + 1, len(plan.chunks))
        if len(shared := shared_views(plan.chunks[first].views, plan.chunks[second].views)) >= 2
    ]
    links = []
    with passes.recorder.stage("join chunks") as tell:
        for first, second, shared in pairs:
            scenes = passes.chunk(first), passes.chunk(second)
            links.append(link_neighbours(first, second, scenes, shared, seed=passes.seed))
            tell(len(links), len(pairs))
    return links


def link_loops(
    passes: Passes,
    plan: Plan,
    links: Sequence[Link],
    descriptors: Float[Tensor, "views channels"],
) -> list[Link]:
    """Return a link for each pair of chunks that look alike but are far from each other."""
    linked = [(link.first, link.second) for link in links if link.reason is None]
    candidates = loop_candidates(descriptors, plan.chunks, linked, views_per_end=plan.overlap)
    found = []
    with passes.recorder.stage("close loops") as tell:
        for candidate in candidates:
            found.append(_looked_at(passes, plan.chunks, candidate))
            tell(len(found), len(candidates))
    return found


def _looked_at(passes: Passes, chunks: Sequence[Chunk], candidate: LoopCandidate) -> Link:
    """Return the link by a pass over views of both ends."""
    views = tuple(dict.fromkeys((*candidate.first_views, *candidate.second_views)))
    name = f"loop-{candidate.first:05d}-{candidate.second:05d}"
    passes.run(name, views)
    scenes = passes.chunk(candidate.first), passes.chunk(candidate.second)
    shared = (
        shared_views(chunks[candidate.first].views, views),
        shared_views(chunks[candidate.second].views, views),
    )
    between = passes.work.load(name)
    return link_loop(candidate.first, candidate.second, scenes, between, shared, seed=passes.seed)


def joined(passes: Passes, plan: Plan, links: Sequence[Link]) -> Reconstruction:
    """Return the scene of all chunks that hang together, written to disk as it grows."""
    with passes.recorder.stage("assemble") as tell:
        scenes = (passes.chunk(index) for index in range(len(plan.chunks)))
        registered = [len(scene.registered) for scene in scenes]
        placement = place_chunks(registered, links)
        placed, failures = _views_in_world(passes, plan, placement)
        home = _homes(plan, placed)
        assembly = Assembly(len(passes.views), passes.work.path / "scene")
        for index, chunk in enumerate(plan.chunks):
            scene, place = passes.chunk(index), placement.world_from_chunk[index]
            if place is not None:
                scene = scene.transformed(place)
            mine = {v: at for at, v in enumerate(chunk.views) if home[v] == index}
            cameras = {view: blended(placed[view]) for view in mine if view in placed}
            lost = {view: failures[view] for view in mine if view not in placed}
            assembly.add(chunk_name(index), scene, mine, cameras, lost)
            tell(index + 1, len(plan.chunks))
    skipped = list(passes.views.skipped) if isinstance(passes.views, Views) else []
    record = _record(passes, plan, links, placement, registered)
    return replace(assembly.finished(skipped), long=record)


def _views_in_world(
    passes: Passes, plan: Plan, placement: Placement
) -> tuple[dict[int, list[Placed]], dict[int, str]]:
    """Return every view's cameras in the world, and why views have none."""
    placed: dict[int, list[Placed]] = {}
    failures: dict[int, str] = {}
    for index, chunk in enumerate(plan.chunks):
        scene, place = passes.chunk(index), placement.world_from_chunk[index]
        for at, view in enumerate(chunk.views):
            camera, failure = scene.cameras[at], scene.failures[at]
            if place is None:
                failure = f"its chunk {index} was not joined: {placement.reasons[index]}"
            if failure is not None:
                failures.setdefault(view, failure)
            elif camera is not None and place is not None:
                found = Placed(index, chunk.weights[at], moved(camera, place))
                placed.setdefault(view, []).append(found)
    return placed, failures


def _homes(plan: Plan, placed: Mapping[int, Sequence[Placed]]) -> dict[int, int]:
    """Return for each view the chunk that it is taken from."""
    home: dict[int, int] = {}
    for index, chunk in enumerate(plan.chunks):
        for view in chunk.views:
            home.setdefault(view, index)
    return home | {view: owner(found).chunk for view, found in placed.items()}


def _record(
    passes: Passes,
    plan: Plan,
    links: Sequence[Link],
    placement: Placement,
    registered: Sequence[int],
) -> LongRecord:
    chunks = [
        ChunkRecord(
            first=passes.views[min(chunk.views)].name,
            last=passes.views[max(chunk.views)].name,
            views=len(chunk.views),
            registered=count,
            joined=reason is None,
            reason=reason,
        )
        for chunk, count, reason in zip(plan.chunks, registered, placement.reasons, strict=True)
    ]
    told = [
        LinkRecord(
            first=link.first,
            second=link.second,
            kind="loop" if link.loop else "overlap",
            kept=kept,
            views=min(joint.views for joint in link.joints),
            inlier_ratio=min(joint.inlier_ratio for joint in link.joints),
            residual=_worst([joint.residual for joint in link.joints]),
            reason=None if kept else link.reason or _why_not(link),
        )
        for link, kept in zip(links, placement.kept, strict=True)
    ]
    return LongRecord(plan.chunk_views, plan.overlap, plan.order, chunks, told)


def _why_not(link: Link) -> str:
    """Say why the scene does not rest on a link that is good by itself."""
    if link.loop:
        return "the other links contradict it"
    return "neither chunk hangs together with the rest of the scene"


def _worst(residuals: Sequence[float]) -> float | None:
    told = [residual for residual in residuals if math.isfinite(residual)]
    return max(told, default=None)
