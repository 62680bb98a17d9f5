// The objects of a segmentation and their clicks.

const COLOURS = ['#ff8c00', '#00c2a8', '#e35bd8', '#6aa8ff', '#d8d000', '#ff6b6b', '#8fd14f', '#b39ddb']

/** What an object shows that has no answer. */
const NOTHING = { runs: [], voxels: 0, volumeMl: 0, answered: undefined }

/** Makes `object` show the answer `last` to `clicks` and `threshold`. */
export function show(object, { clicks, threshold }, last) {
  const { runs, voxels, volume_ml: volumeMl, mask_sha256: maskSha256, log } = last
  Object.assign(object, { runs, voxels, volumeMl, answered: { clicks, threshold, maskSha256, log } })
}

/** Makes `object` show nothing. */
export function showNothing(object) {
  Object.assign(object, NOTHING)
}

/** Objects, one of which takes the clicks. */
export class Objects {
  constructor(target) {
    this.target = target
    this.clear()
  }

  clear() {
    this.list = []
    this.made = 0
    this.add()
  }

  /** A new object, which becomes the active one. */
  add() {
    const name = this.made === 0 ? this.target : `${this.target} ${this.made + 1}`
    const object = {
      id: this.made,
      name,
      colour: COLOURS[this.made % COLOURS.length],
      clicks: [],
      threshold: 0.5,
      request: undefined,
      ...NOTHING,
    }
    this.made += 1
    this.list.push(object)
    this.active = object
    return object
  }

  remove(object) {
    object.request?.abort()
    this.list = this.list.filter((other) => other !== object)
    if (this.list.length === 0) this.add()
    else if (this.active === object) this.active = this.list.at(-1)
  }

  /** The objects that show an answer, as the server takes them: with the clicks that led to it, not with later ones. */
  sent() {
    return this.list
      .filter((object) => object.answered)
      .map(({ name, colour, answered: { clicks, threshold, maskSha256 } }) => ({
        name,
        colour: rgb(colour).map((value) => value / 255),
        clicks,
        threshold,
        mask_sha256: maskSha256,
      }))
  }

  /** The sessions that led to what is shown: the name of each object, and what `sam3d segment --session` replays. */
  sessions() {
    return this.list.filter((object) => object.answered).map(({ name, answered }) => ({ name, log: answered.log }))
  }
}

/** Red, green and blue from 0 to 255. */
export function rgb(colour) {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16))
}
