// Masks as runs of voxels: [start, length] pairs, ascending, in the file's order (i fastest).

/** Pairs of a flat list of start, length, start, length, ... */
export function pairs(flat) {
  const found = new Array(flat.length / 2)
  for (let at = 0; at < found.length; at += 1) found[at] = [flat[2 * at], flat[2 * at + 1]]
  return found
}

/** The runs of a set of voxels given by their index, in any order. */
export function runsOf(indices) {
  const sorted = Uint32Array.from(indices).sort()
  const runs = []
  let last
  for (const index of sorted) {
    if (last && last[0] + last[1] > index) continue
    if (last && last[0] + last[1] === index) last[1] += 1
    else runs.push(last = [index, 1])
  }
  return runs
}

/** The voxels of `a`, of `b`, or both, by whether `keep(inA, inB)`. */
function combine(a, b, keep) {
  const edges = []
  for (const [start, length] of a) edges.push([start, 1, 0], [start + length, -1, 0])
  for (const [start, length] of b) edges.push([start, 0, 1], [start + length, 0, -1])
  edges.sort((x, y) => x[0] - y[0])
  const runs = []
  let [inA, inB, since] = [0, 0, undefined]
  for (let at = 0; at < edges.length;) {
    const place = edges[at][0]
    for (; at < edges.length && edges[at][0] === place; at += 1) {
      inA += edges[at][1]
      inB += edges[at][2]
    }
    const kept = keep(inA > 0, inB > 0)
    if (kept && since === undefined) since = place
    if (!kept && since !== undefined) {
      runs.push([since, place - since])
      since = undefined
    }
  }
  return runs
}

export const union = (a, b) => combine(a, b, (inA, inB) => inA || inB)
export const difference = (a, b) => combine(a, b, (inA, inB) => inA && !inB)
export const intersection = (a, b) => combine(a, b, (inA, inB) => inA && inB)

/** The number of voxels. */
export function count(runs) {
  return runs.reduce((sum, [, length]) => sum + length, 0)
}

/** The first run that ends behind the voxel `index`, by its number. */
function firstBehind(runs, index) {
  let [low, high] = [0, runs.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (runs[middle][0] + runs[middle][1] <= index) low = middle + 1
    else high = middle
  }
  return low
}

/** Whether the voxel `index` belongs to the mask. */
export function contains(runs, index) {
  const run = runs[firstBehind(runs, index)]
  return run !== undefined && run[0] <= index
}

/** Calls `paint(i, j, k, length)` for the part in each row of the runs from the slices `first` to `last` across k. */
function eachRow(runs, [columns, rows], [first, last], paint) {
  const size = columns * rows
  for (let at = firstBehind(runs, first * size); at < runs.length && runs[at][0] < (last + 1) * size; at += 1) {
    let [start, length] = runs[at]
    while (length > 0) {
      const i = start % columns
      const part = Math.min(columns - i, length)
      const row = (start - i) / columns
      paint(i, row % rows, Math.floor(row / rows), part)
      start += part
      length -= part
    }
  }
}

/** The picture of a mask on a slice of a plane: 1 where it is, row by row; undefined if it is nowhere. */
export function slicePicture(runs, shape, plane, index) {
  const [width, height] = plane.size
  let picture
  const { horizontal, vertical, across } = plane
  const place = (axis, value) => {
    const at = axis === horizontal.axis ? 0 : 1
    const { reversed } = at === 0 ? horizontal : vertical
    const along = reversed ? plane.size[at] - 1 - value : value
    return at === 0 ? along : along * width
  }
  const slices = across === 2 ? [index, index] : [0, shape[2] - 1]
  const along = across === 0 ? 0 : (horizontal.axis === 0 ? 1 : width) * (place(0, 1) > place(0, 0) ? 1 : -1)
  eachRow(runs, shape, slices, (i, j, k, length) => {
    if (across === 1 && j !== index) return
    if (across === 0 && (index < i || index >= i + length)) return
    picture ??= new Uint8Array(width * height)
    const voxel = [i, j, k]
    let at = 0
    for (const axis of [0, 1, 2]) if (axis !== across) at += place(axis, voxel[axis])
    if (across === 0) picture[at] = 1
    else for (let step = 0; step < length; step += 1, at += along) picture[at] = 1
  })
  return picture
}

/** For each slice across `axis` whether the mask is on it. */
export function slicesOf(runs, shape, axis) {
  const found = new Uint8Array(shape[axis])
  eachRow(runs, shape, [0, shape[2] - 1], (i, j, k, length) => {
    if (axis === 0) found.fill(1, i, i + length)
    else found[axis === 1 ? j : k] = 1
  })
  return found
}
