// Keeps what is done on the server, under a name that is part of the page's address.
import * as server from './server.js'

const PAUSE_MS = 250

export class Workspace {
  /** `on` has content(), kept(whether all is kept), lost(), refused(error). */
  constructor(on) {
    this.on = on
    // The page is left before the pause is over.
    addEventListener('pagehide', () => this.id && this.keep())
    this.close()
  }

  close() {
    clearTimeout(this.timer)
    this.id = undefined
    this.revision = undefined
    this.isDirty = false
    this.isRefused = false
    /** Counts the images: what was begun for an earlier one is dropped. */
    this.opened = (this.opened ?? 0) + 1
  }

  /** The kept work of a page's address; undefined if it names none. */
  async read(id) {
    const { content, revision } = await server.getRevision(`api/workspaces/${encodeURIComponent(id)}`)
    return { content, revision }
  }

  /** Goes on with work that was read. */
  goOn(id, revision) {
    this.id = id
    this.revision = revision
  }

  /** Keeps what there is now, in a moment. */
  changed() {
    this.isDirty = true
    if (!this.isRefused) this.on.kept(false)
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.keep(), PAUSE_MS)
  }

  /** Keeps what there is now. One write at a time. */
  async keep() {
    const { opened } = this
    if (this.writing || !this.isDirty || this.isRefused) return
    this.writing = true
    this.isDirty = false
    try {
      const content = this.on.content()
      if (this.id) {
        const revision = await server.put(`api/workspaces/${this.id}`, content, this.revision)
        if (opened === this.opened) this.revision = revision
      } else {
        const { workspace } = await server.post('api/workspaces', content)
        if (opened === this.opened) {
          this.goOn(workspace, '"1"')
          address({ workspace })
        }
      }
      if (opened === this.opened && !this.isDirty) this.on.kept(true)
    } catch (error) {
      if (opened !== this.opened) return
      this.isDirty = true
      if (error instanceof server.Unreachable) {
        this.on.lost()
      } else if (error.status === 404) {
        // It gave way to newer work, or the server forgot it: it is kept anew.
        this.id = undefined
        this.changed()
      } else {
        this.isRefused = true
        this.on.refused(error)
      }
    } finally {
      this.writing = false
      if (opened === this.opened && this.isDirty && !this.isRefused) this.changed()
    }
  }
}

/** Writes what is shown into the page's address, for a reload. */
export function address(parts, isNew = false) {
  const search = `?${new URLSearchParams(parts)}`
  if (search === location.search) return
  if (isNew) history.pushState(null, '', search)
  else history.replaceState(null, '', search)
}
