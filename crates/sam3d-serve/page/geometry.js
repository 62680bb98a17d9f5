// Voxels, millimetres and runs: nothing here touches the page.

/** The inverse of an affine given as three rows of four numbers. */
export function inverse(rows) {
  const [[a, b, c, x], [d, e, f, y], [g, h, i, z]] = rows
  const determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
  const linear = [
    [e * i - f * h, c * h - b * i, b * f - c * e],
    [f * g - d * i, a * i - c * g, c * d - a * f],
    [d * h - e * g, b * g - a * h, a * e - b * d],
  ].map((row) => row.map((value) => value / determinant))
  return linear.map((row) => [...row, -(row[0] * x + row[1] * y + row[2] * z)])
}

/** An affine applied to a point. */
export function apply(rows, [x, y, z]) {
  return rows.map((row) => row[0] * x + row[1] * y + row[2] * z + row[3])
}

/** The voxel i, j, k nearest to a point in millimetres; undefined outside the volume. */
export function voxelAt(ijkFromWorld, shape, point) {
  const ijk = apply(ijkFromWorld, point).map((value) => Math.round(value) + 0)
  return ijk.every((index, axis) => index >= 0 && index < shape[axis]) ? ijk : undefined
}

/** Writes `label` into the voxels of `runs` (start, length, start, length, ...). */
export function paint(labels, runs, label) {
  for (let at = 0; at < runs.length; at += 2) labels.fill(label, runs[at], runs[at] + runs[at + 1])
}

/** For each label from 1 to `count`, how many voxels have it in `labels`. */
export function countLabels(labels, count) {
  const counts = new Array(count + 1).fill(0)
  for (const label of labels) counts[label] += 1
  return counts.slice(1)
}

/** A NIfTI file of one byte per voxel with the geometry of the file `volume`, which is plain and little-endian. */
export function emptyLabels(volume, voxels) {
  const OFFSET = 352
  const file = new Uint8Array(OFFSET + voxels)
  file.set(new Uint8Array(volume, 0, 348))
  const header = new DataView(file.buffer)
  const UINT8 = 2
  header.setInt16(70, UINT8, true)
  header.setInt16(72, 8, true)
  header.setFloat32(108, OFFSET, true)
  return file.buffer
}
