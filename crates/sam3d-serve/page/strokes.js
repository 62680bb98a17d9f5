// What a stroke of a tool becomes: a prompt of the session log, or an edit.
import { distance, lineOfVoxels, voxelAt } from './geometry.js'
import { runsOf } from './runs.js'

/** Corners of an outline: more are thinned out. */
const MOST_CORNERS = 300
/** Voxels of a scribble's path. */
const MOST_PATH = 1500

/** The tools: name, key, whether they draw prompts, need weights for shapes, or have a width in voxels. */
export const TOOLS = {
  click: { title: 'Click', key: 'K', prompts: true },
  box: { title: 'Box', key: 'B', prompts: true, shapes: true },
  lasso: { title: 'Lasso', key: 'L', prompts: true, shapes: true },
  scribble: { title: 'Scribble', key: 'F', prompts: true, shapes: true, width: true },
  brush: { title: 'Brush', key: 'P', edits: true, width: true },
  eraser: { title: 'Eraser', key: 'E', edits: true, width: true },
  ruler: { title: 'Ruler', key: 'R' },
  pan: { title: 'Move', key: 'G' },
}

/** The prompt of a stroke with `tool` along `points`, in voxels on one slice; undefined if it is too short. */
export function promptOf(tool, points, { shape_ijk: shape }, { outside, width }) {
  const label = outside ? 'negative' : 'positive'
  if (tool === 'click') {
    const voxel = voxelAt(shape, points.at(-1))
    return voxel && { click: { at: { voxel }, label } }
  }
  const path = lineOfVoxels(shape, points)
  if (tool === 'scribble') return { scribble: { path: thinned(path, MOST_PATH), width, label } }
  const [first, last] = [Math.min, Math.max].map((pick) => [0, 1, 2].map((axis) => pick(...path.map((ijk) => ijk[axis]))))
  const extents = last.map((value, axis) => value - first[axis])
  if (extents.filter((extent) => extent > 0).length < 2) return undefined
  if (tool === 'box') {
    const [from, to] = [points[0], points.at(-1)].map((point) => lineOfVoxels(shape, [point])[0])
    return { box: { first: from.map((value, axis) => Math.min(value, to[axis])), last: from.map((value, axis) => Math.max(value, to[axis])), label } }
  }
  return { lasso: { outline: thinned(path, MOST_CORNERS), label } }
}

function thinned(list, most) {
  const every = Math.ceil(list.length / most)
  return list.filter((_, at) => at % every === 0 || at === list.length - 1)
}

/** The runs of the voxels under a round brush of `width` voxels moved along `points`, on the slice of a plane. */
export function brushed(points, { shape_ijk: shape, spacing_ijk_mm: spacing }, plane, width) {
  const axes = [plane.horizontal.axis, plane.vertical.axis]
  // Round on the screen: the width is counted along the finer axis.
  const finest = Math.min(...axes.map((axis) => spacing[axis]))
  const radius = width / 2
  const reach = axes.map((axis) => (radius * finest) / spacing[axis])
  const found = new Set()
  for (const centre of lineOfVoxels(shape, points)) {
    for (let a = -Math.floor(reach[0]); a <= reach[0]; a += 1) {
      for (let b = -Math.floor(reach[1]); b <= reach[1]; b += 1) {
        const offset = [(a * spacing[axes[0]]) / finest, (b * spacing[axes[1]]) / finest]
        if (Math.hypot(...offset) > Math.max(radius - 0.25, 0)) continue
        const ijk = [...centre]
        ijk[axes[0]] += a
        ijk[axes[1]] += b
        if (ijk.every((value, axis) => value >= 0 && value < shape[axis])) {
          found.add(ijk[0] + shape[0] * (ijk[1] + shape[1] * ijk[2]))
        }
      }
    }
  }
  return runsOf(found)
}

/**
 * What a stroke with `tool` adds to an object: `{ item }`, a prompt or an edit, or `{ refused }`, why it adds nothing. `object` is
 * `{ name, locked, runs, prompts }`, and `accepts` what the weights understand.
 */
export function itemOf(tool, points, { image, plane, width, outside, object, accepts }) {
  if (object.locked) return { refused: `${object.name} is locked: unlock it, or choose another object.` }
  if (TOOLS[tool].edits) {
    const runs = brushed(points, image, plane, width)
    if (runs.length === 0 || (tool === 'eraser' && object.runs.length === 0)) return {}
    return { item: tool === 'brush' ? { paint: runs } : { erase: runs } }
  }
  if (outside && tool === 'click' && !accepts.negative_clicks) return { refused: `Outside is off: ${accepts.negative_refused}.` }
  const item = promptOf(tool, points, image, { outside, width })
  if (!item) return { refused: `This ${tool} is too small: draw it across several voxels.` }
  if (outside && object.prompts === 0) return { refused: 'Begin with a prompt inside the object.' }
  return { item }
}

/** A line of the ruler. */
export function measured(points, image) {
  const ends = [points[0], points.at(-1)]
  return { ends_ijk: ends, length_mm: distance(image.world_from_ijk, ...ends) }
}

/** The clicks `prompts` with one more inside at `ijk`, as the server takes them; undefined if some are not clicks. */
export function clicksWith(prompts, ijk) {
  if (prompts.some(({ click }) => !click)) return undefined
  return [...prompts.map(({ click }) => ({ ijk: click.at.voxel, label: click.label })), { ijk, label: 'positive' }]
}
