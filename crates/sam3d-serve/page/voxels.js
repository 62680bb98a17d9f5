// The voxels of an image: loaded slab by slab, the ones in the middle first, and drawn as pictures of slices.
import * as server from './server.js'

/** Bytes that are asked for at once. */
const SLAB_BYTES = 24 << 20

export class Voxels {
  /** `image` is what the server says of it. */
  constructor(image) {
    this.shape = image.shape_ijk
    const Type = image.value_type === 'int16' ? Int16Array : Float32Array
    const [columns, rows, slices] = this.shape
    this.strides = [1, columns, columns * rows]
    this.values = new Type(columns * rows * slices)
    this.loaded = new Uint8Array(slices)
    this.isWhole = false
    this.range = undefined
  }

  /** Loads all slices, and tells `arrived(share)` after each slab. */
  async load(address, signal, arrived) {
    const [columns, rows, slices] = this.shape
    const bytes = this.values.BYTES_PER_ELEMENT
    const perSlab = Math.max(1, Math.floor(SLAB_BYTES / (columns * rows * bytes)))
    const middle = slices >> 1
    // A few slices at the middle come first: that is what is shown.
    const slabs = [[middle, Math.min(slices, middle + Math.min(perSlab, 4))]]
    for (let at = slabs[0][1]; at < slices; at += perSlab) slabs.push([at, Math.min(slices, at + perSlab)])
    for (let at = middle; at > 0; at -= perSlab) slabs.push([Math.max(0, at - perSlab), at])
    slabs.sort((a, b) => Math.abs(a[0] + a[1] - 2 * middle) - Math.abs(b[0] + b[1] - 2 * middle))
    slabs.sort((a, b) => (a[0] === middle ? -1 : 0) - (b[0] === middle ? -1 : 0))
    let done = 0
    for (const [first, end] of slabs) {
      const query = `${address}&first=${first}&count=${end - first}`
      const content = await server.bytes(`api/voxels?${query}`, signal)
      this.values.set(new this.values.constructor(content), first * columns * rows)
      this.loaded.fill(1, first, end)
      this.#extend(first * columns * rows, end * columns * rows)
      done += end - first
      this.isWhole = done === slices
      arrived(done / slices)
    }
  }

  /** The value of a voxel; undefined before it was loaded. */
  value([i, j, k]) {
    return this.loaded[k] ? this.values[i + j * this.strides[1] + k * this.strides[2]] : undefined
  }

  /** Draws a slice of a plane into `pixels`, words of RGBA, grey from black at `low` to white at `high`. */
  draw(plane, index, [low, high], pixels) {
    const [width, height] = plane.size
    const { strides, values } = this
    const step = ({ axis, reversed }) => (reversed ? -strides[axis] : strides[axis])
    const start = ({ axis, reversed }, size) => (reversed ? (size - 1) * strides[axis] : 0)
    const [right, down] = [step(plane.horizontal), step(plane.vertical)]
    const origin = index * strides[plane.across] + start(plane.horizontal, width) + start(plane.vertical, height)
    const scale = 255 / Math.max(high - low, 1e-6)
    for (let y = 0; y < height; y += 1) {
      let at = origin + y * down
      for (let x = 0, to = y * width; x < width; x += 1, to += 1, at += right) {
        const grey = (values[at] - low) * scale
        const level = grey <= 0 ? 0 : grey >= 255 ? 255 : grey | 0
        pixels[to] = 0xff000000 | (level << 16) | (level << 8) | level
      }
    }
  }

  /** A coarser volume of at most `most` voxels, for the view in 3D: its values, shape, and the step along each axis. */
  coarse(most) {
    const steps = [1, 1, 1]
    const shape = () => this.shape.map((size, axis) => Math.ceil(size / steps[axis]))
    while (shape().reduce((product, size) => product * size, 1) > most) {
      const sizes = shape()
      steps[sizes.indexOf(Math.max(...sizes))] += 1
    }
    const [columns, rows, slices] = shape()
    const values = new this.values.constructor(columns * rows * slices)
    let to = 0
    for (let k = 0; k < slices; k += 1) {
      for (let j = 0; j < rows; j += 1) {
        let at = k * steps[2] * this.strides[2] + j * steps[1] * this.strides[1]
        for (let i = 0; i < columns; i += 1, at += steps[0]) values[to++] = this.values[at]
      }
    }
    return { values, shape: [columns, rows, slices], steps }
  }

  /** Widens the known range of values by every 97th of those from `start` to `end`. */
  #extend(start, end) {
    let [low, high] = this.range ?? [Infinity, -Infinity]
    for (let at = start; at < end; at += 97) {
      const value = this.values[at]
      if (value < low) low = value
      if (value > high) high = value
    }
    this.range = [low, high]
  }
}
