// The masks of objects: asked of the server, remembered, and shown until a newer one arrives.
import * as server from './server.js'
import { leadsTo } from './history.js'
import { difference, pairs, union } from './runs.js'

/** Runs of voxels that are remembered, so that undo is immediate. */
const MOST_RUNS = 4_000_000

const NOTHING = { runs: [], voxels: 0, volumeMl: 0, sha256: undefined, diameters: undefined, log: undefined, missed: [] }

export class Answers {
  /**
   * `on` has shown(), progress(object, stage), settled(object) when what was asked needs no answer, done(object, answer),
   * refused(object, error), lost(error).
   */
  constructor(history, on) {
    this.history = history
    this.on = on
    this.clear()
  }

  clear() {
    for (const { request } of this.shown?.values() ?? []) request?.abort()
    /** What led to an answer, the answer, the oldest first. */
    this.known = new Map()
    /** What is shown of each object, by its id: `{ answer, key, request, preview }`. */
    this.shown = new Map()
    this.image = undefined
  }

  /** The mask that is shown of an object. */
  of(object) {
    return this.shown.get(object.id)?.answer ?? NOTHING
  }

  /** The runs that are shown, what is being painted included. */
  runs(object) {
    const shown = this.shown.get(object.id)
    return shown?.preview ?? shown?.answer?.runs ?? NOTHING.runs
  }

  /** Whether an answer is awaited. */
  isPending(object) {
    return this.shown.get(object.id)?.request !== undefined
  }

  /** Whether what is shown of an object is the answer to all that was given for it. */
  isCurrent(object) {
    const shown = this.shown.get(object.id)
    const asked = this.history.asked(object)
    return asked ? shown?.key === leadsTo(object) && !shown.request : !shown?.answer?.voxels
  }

  /** Shows an edit before the server has answered. */
  preview(object, edit) {
    const shown = this.#entry(object)
    const runs = this.runs(object)
    shown.preview = edit.paint ? union(runs, edit.paint) : difference(runs, edit.erase)
  }

  /** Asks for the masks of the objects that changed. */
  refresh() {
    for (const [id, { request }] of this.shown) {
      if (this.history.objects.some((object) => object.id === id)) continue
      request?.abort()
      this.shown.delete(id)
      this.on.settled({ id })
    }
    for (const object of this.history.objects) {
      const shown = this.#entry(object)
      const key = leadsTo(object)
      if (shown.wanted === key && (shown.key === key || shown.request)) continue
      shown.request?.abort()
      Object.assign(shown, { wanted: key, request: undefined })
      const asked = this.history.asked(object)
      if (asked && !this.known.has(key)) {
        this.#ask(object, shown, key, asked)
        continue
      }
      Object.assign(shown, { answer: asked && this.#remembered(key), key, preview: undefined })
      this.on.settled(object)
    }
    this.on.shown()
  }

  /** Forgets what was asked and not answered, so that `refresh` asks again. */
  again() {
    for (const shown of this.shown.values()) if (shown.key !== shown.wanted) shown.wanted = undefined
    this.refresh()
  }

  async #ask(object, shown, key, asked) {
    const request = new AbortController()
    shown.request = request
    this.on.progress(object, { stage: 'waiting', ahead: 0 })
    try {
      const path = `api/mask?${this.image}`
      const last = await server.lines(path, asked, request.signal, (line) => this.on.progress(object, line))
      if (last.stage === 'failed') throw new Error(last.detail)
      if (shown.request !== request) return
      const answer = {
        runs: pairs(last.runs),
        voxels: last.voxels,
        volumeMl: last.volume_ml,
        sha256: last.mask_sha256,
        diameters: last.diameters ?? undefined,
        log: last.log ?? undefined,
        missed: last.missed,
        outside: last.outside,
        prompts: asked.prompts,
        edits: asked.edits,
        threshold: asked.threshold,
        encodingSeconds: last.encoding_seconds ?? undefined,
      }
      this.#remember(key, answer)
      Object.assign(shown, { answer, key, request: undefined, preview: undefined })
      this.on.done(object, answer)
    } catch (error) {
      if (error.name === 'AbortError' || shown.request !== request) return
      Object.assign(shown, { request: undefined, preview: undefined })
      if (error instanceof server.Unreachable) {
        this.on.lost(error)
        return
      }
      this.on.refused(object, error)
    }
  }

  /** The objects that show a mask, as files have them: with what led to what is shown, not with what came later. */
  sent() {
    return this.history.objects.filter((object) => this.of(object).voxels > 0).map((object) => {
      const { prompts, edits, threshold, sha256 } = this.of(object)
      const channels = [1, 3, 5].map((at) => parseInt(object.colour.slice(at, at + 2), 16) / 255)
      return { name: object.name, colour: channels, prompts, edits, threshold, mask_sha256: sha256 }
    })
  }

  #entry(object) {
    const shown = this.shown.get(object.id) ?? {}
    this.shown.set(object.id, shown)
    return shown
  }

  #remembered(key) {
    const answer = this.known.get(key)
    this.known.delete(key)
    this.known.set(key, answer)
    return answer
  }

  #remember(key, answer) {
    this.known.set(key, answer)
    let runs = 0
    for (const { runs: own } of this.known.values()) runs += own.length
    for (const [oldest, { runs: own }] of this.known) {
      if (runs <= MOST_RUNS || oldest === key) break
      this.known.delete(oldest)
      runs -= own.length
    }
  }
}
