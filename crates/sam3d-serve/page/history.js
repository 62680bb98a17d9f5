// The objects of an image and what led to them, as states that can be undone and redone, and kept as text.
//
// A state is never changed, only replaced. Prompts and edits are items that states share by id, so that a hundred states of a
// long session cost little.

const COLOURS = ['#ff8c00', '#00c2a8', '#e35bd8', '#6aa8ff', '#d8d000', '#ff6b6b', '#8fd14f', '#b39ddb']
/** States that can be undone. */
const MOST_STATES = 200
const VERSION = 1

export class History {
  constructor(target) {
    this.target = target
    this.clear()
  }

  clear() {
    this.items = {}
    this.made = 0
    this.numbered = 0
    const object = this.#newObject()
    this.states = [{ objects: [object], active: object.id }]
    this.at = 0
    this.merging = undefined
  }

  get state() {
    return this.states[this.at]
  }

  get objects() {
    return this.state.objects
  }

  /** The object that takes the prompts. */
  get active() {
    const { objects, active } = this.state
    return objects.find(({ id }) => id === active) ?? objects.at(-1)
  }

  get canUndo() {
    return this.at > 0
  }

  get canRedo() {
    return this.at < this.states.length - 1
  }

  undo() {
    if (this.canUndo) this.at -= 1
    this.merging = undefined
  }

  redo() {
    if (this.canRedo) this.at += 1
    this.merging = undefined
  }

  /** Makes `state` the current one. Changes with the same `merging` in a row, as of a slider, are undone at once. */
  #push(state, merging) {
    this.states.length = this.at + 1
    if (merging !== undefined && this.merging === merging) this.states.pop()
    this.merging = merging
    this.states.push(state)
    if (this.states.length > MOST_STATES) this.states.shift()
    this.at = this.states.length - 1
  }

  /** Changes properties of an object. */
  change(id, properties, merging) {
    const objects = this.objects.map((object) => (object.id === id ? { ...object, ...properties } : object))
    this.#push({ ...this.state, objects }, merging && `${merging} ${id}`)
  }

  /** Adds a prompt of the session log or an edit, `{ paint: runs }` or `{ erase: runs }`, to the active object. */
  add(item) {
    const id = this.#keep(item)
    const object = this.active
    this.change(object.id, { steps: [...object.steps, id] })
  }

  /** Removes one prompt or edit. */
  removeStep(object, at) {
    this.change(object.id, { steps: object.steps.filter((_, step) => step !== at) })
  }

  /** Adds objects, each `{ name, colour, items }` or nothing of it; the last one becomes active. */
  addObjects(described) {
    const added = described.map(({ name, colour, items = [] }) => {
      const object = this.#newObject()
      return { ...object, name: name ?? object.name, colour: colour ?? object.colour, steps: items.map((item) => this.#keep(item)) }
    })
    // An untouched first object gives way.
    const rest = this.objects.filter(({ steps }) => steps.length > 0 || described[0]?.items === undefined)
    this.#push({ objects: [...rest, ...added], active: added.at(-1).id })
  }

  remove(id) {
    let objects = this.objects.filter((object) => object.id !== id)
    if (objects.length === 0) objects = [this.#newObject()]
    const active = objects.some((object) => object.id === this.state.active) ? this.state.active : objects.at(-1).id
    this.#push({ objects, active })
  }

  /** Moves an object by `places` in the list: later ones lie over earlier ones. */
  move(id, places) {
    const objects = [...this.objects]
    const from = objects.findIndex((object) => object.id === id)
    const to = from + places
    if (to < 0 || to >= objects.length) return
    objects.splice(to, 0, ...objects.splice(from, 1))
    this.#push({ ...this.state, objects })
  }

  /** Chooses the object that takes the prompts, which is nothing to undo. */
  select(id) {
    this.states[this.at] = { ...this.state, active: id }
  }

  /** Takes the last change back for good, if it changed the object `id` and nothing came after it: its answer was refused. */
  reject(id) {
    const find = (state) => state?.objects.find((object) => object.id === id)
    const [before, now] = [find(this.states[this.at - 1]), find(this.state)]
    if (this.at === 0 || this.canRedo || !now || leadsTo(before) === leadsTo(now)) return false
    this.states.pop()
    this.at -= 1
    this.merging = undefined
    return true
  }

  /** What the server needs for the mask of an object; undefined if there is nothing to show. */
  asked(object) {
    const items = object.steps.map((id) => this.items[id])
    const prompts = items.filter((item) => !isEdit(item))
    const edits = items.filter(isEdit)
    if (prompts.length === 0 && edits.length === 0) return undefined
    return { prompts, edits, threshold: object.threshold }
  }

  /** All of it as a text for the server. */
  kept() {
    const used = new Set(this.states.flatMap(({ objects }) => objects.flatMap(({ steps }) => steps)))
    const items = Object.fromEntries(Object.entries(this.items).filter(([id]) => used.has(id)))
    const { states, at, made, numbered } = this
    return { version: VERSION, items, states, at, made, numbered }
  }

  /** Takes up what `kept` gave. */
  restore(kept) {
    if (kept.version !== VERSION) throw new Error('This work was kept by another version of the page.')
    const { items, states, at, made, numbered } = kept
    Object.assign(this, { items, states, at, made, numbered, merging: undefined })
  }

  #keep(item) {
    this.numbered += 1
    const id = `i${this.numbered}`
    this.items[id] = item
    return id
  }

  #newObject() {
    const object = {
      id: `o${this.made}`,
      name: this.made === 0 ? this.target : `${this.target} ${this.made + 1}`,
      colour: COLOURS[this.made % COLOURS.length],
      steps: [],
      threshold: 0.5,
      visible: true,
      locked: false,
      outlined: false,
    }
    this.made += 1
    return object
  }
}

export function isEdit(item) {
  return 'paint' in item || 'erase' in item
}

/** What of an object its mask depends on, as a key. */
export function leadsTo(object) {
  return object && `${object.steps.join()} ${object.threshold}`
}

/** Red, green and blue from 0 to 255. */
export function rgb(colour) {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16))
}

/** A colour as the page writes it, of red, green and blue from 0 to 1. */
export function hexadecimal(colour) {
  return `#${colour.map((value) => Math.round(value * 255).toString(16).padStart(2, '0')).join('')}`
}
