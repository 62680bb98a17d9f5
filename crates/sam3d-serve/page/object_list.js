// The list of objects, and of the prompts and edits of the active one.
import { count } from './runs.js'
import { byId } from './panel.js'

/** The rows of the objects, by id: they stay, so that neither a field that is being filled in nor a press on a button is lost. */
const rows = new Map()
let stepsKey

/** Shows the objects of `history` with their `answers`; `on` is told what is wanted. */
export function showObjects(history, answers, on) {
  const { objects, active } = history
  for (const [id, row] of rows) {
    if (objects.some((object) => object.id === id)) continue
    row.element.remove()
    rows.delete(id)
  }
  objects.forEach((object, at) => {
    if (!rows.has(object.id)) rows.set(object.id, new Row(on))
    const row = rows.get(object.id)
    row.update(object, { isActive: object === active, isFirst: at === 0, isLast: at === objects.length - 1, volumeMl: answers.of(object).volumeMl })
    const list = byId('objects')
    if (list.children[at] !== row.element) list.insertBefore(row.element, list.children[at] ?? null)
  })
  showSteps(history, answers.of(active), on)
  byId('threshold').value = String(active.threshold)
  byId('threshold-value').textContent = active.threshold.toFixed(2)
  showMeasurements(answers.of(active))
}

function showSteps(history, { missed, prompts }, on) {
  const { active } = history
  const isMissed = (item) => missed.some((number) => prompts[number] === item)
  const items = active.steps.map((id) => history.items[id])
  const key = [active.id, active.locked, ...active.steps, ...items.map(isMissed)].join()
  if (key === stepsKey) return
  stepsKey = key
  byId('clicks').replaceChildren(...items.map((item, at) =>
    stepRow(item, isMissed(item), () => on.removeStep(history.active, at), active.locked, () => on.goTo(item))))
}

/** An object of the list. */
class Row {
  constructor(on) {
    this.element = document.createElement('li')
    this.radio = this.#input('radio', 'change', () => on.select(this.object))
    this.radio.name = 'active'
    this.colour = this.#input('color', 'input', (value) => on.change(this.object, { colour: value }, 'colour'))
    this.name = this.#input('text', 'change', (value) => on.change(this.object, { name: value.trim() || this.object.name }))
    this.name.maxLength = 60
    this.volume = Object.assign(document.createElement('span'), { className: 'volume' })
    const actions = Object.assign(document.createElement('span'), { className: 'actions' })
    const change = (what) => () => on.change(this.object, { [what]: !this.object[what] })
    this.hide = this.#button('Hide', 'hide', change('visible'))
    this.outline = this.#button('Outline', 'outline', change('outlined'))
    this.lock = this.#button('Lock', 'lock', change('locked'))
    this.up = this.#button('↑', 'up', () => on.move(this.object, -1))
    this.down = this.#button('↓', 'down', () => on.move(this.object, 1))
    this.delete = this.#button('×', 'delete', () => on.remove(this.object))
    actions.append(this.hide, this.outline, this.lock, this.up, this.down, this.delete)
    this.element.append(this.radio, this.colour, this.name, this.volume, actions)
  }

  update(object, { isActive, isFirst, isLast, volumeMl }) {
    const { name } = object
    const isRenamed = this.object?.name !== name
    this.object = object
    this.element.classList.toggle('active', isActive)
    this.element.classList.toggle('hidden', !object.visible)
    this.radio.checked = isActive
    this.radio.setAttribute('aria-label', `Draw into ${name}`)
    this.colour.value = object.colour
    this.colour.setAttribute('aria-label', `Colour of ${name}`)
    if (isRenamed) this.name.value = name
    this.name.setAttribute('aria-label', 'Name')
    this.volume.textContent = `${volumeMl.toFixed(2)} ml`
    const set = (button, title, pressed, disabled = false) => {
      Object.assign(button, { title, disabled })
      button.setAttribute('aria-label', `${title}: ${name}`)
      if (pressed !== undefined) button.setAttribute('aria-pressed', String(pressed))
    }
    this.hide.textContent = object.visible ? 'Hide' : 'Show'
    set(this.hide, object.visible ? 'Hide' : 'Show')
    set(this.outline, 'Show as outline', object.outlined)
    set(this.lock, 'Protect from changes', object.locked)
    set(this.up, 'Move up, under the one before', undefined, isFirst)
    set(this.down, 'Move down, over the next one', undefined, isLast)
    set(this.delete, 'Delete', undefined, object.locked)
  }

  #input(type, event, handler) {
    const field = Object.assign(document.createElement('input'), { type })
    field.addEventListener(event, () => handler(field.value))
    return field
  }

  #button(text, what, handler) {
    const field = Object.assign(document.createElement('button'), { type: 'button', textContent: text })
    field.dataset.action = what
    field.addEventListener('click', handler)
    return field
  }
}

function stepRow(item, isMissed, remove, locked, show) {
  const element = document.createElement('li')
  const text = Object.assign(document.createElement('button'), { type: 'button', className: 'link', textContent: described(item) })
  text.title = 'Go there'
  text.addEventListener('click', show)
  element.append(text)
  if (isMissed) {
    element.classList.add('missed')
    element.append(Object.assign(document.createElement('span'), { textContent: ' not in the mask' }))
    if (Object.values(item)[0].label === 'negative') element.lastChild.textContent = ' still in the mask'
  }
  const button = Object.assign(document.createElement('button'), { type: 'button', textContent: '×', disabled: locked })
  button.className = 'delete-step'
  button.title = 'Delete'
  button.setAttribute('aria-label', `Delete ${described(item)}`)
  button.addEventListener('click', remove)
  element.append(button)
  return element
}

/** A prompt or edit in a few words. */
export function described(item) {
  if (item.paint) return `painted ${count(item.paint)} voxels`
  if (item.erase) return `erased ${count(item.erase)} voxels`
  const [[kind, content]] = Object.entries(item)
  const sign = content.label === 'negative' ? '−' : '+'
  if (kind === 'click') return `${sign} ${content.at.voxel.join(', ')}`
  if (kind === 'mask') return `mask of ${count(content.runs)} voxels`
  const words = { box: 'box', lasso: 'lasso', scribble: 'scribble' }
  return `${sign} ${words[kind]}`
}

/** An object and its mask in a sentence. */
export function summary(object, { voxels, volumeMl, outside, missed, prompts }) {
  if (voxels === 0) return 'Nothing found above the threshold: lower it, or click elsewhere'
  const unused = outside ? `; ${outside} clicks too far away were not used` : ''
  const places = missed.map((at) => described(prompts[at]).slice(2))
  const contradicted = places.length ? `; the mask contradicts the click at ${places.join(' and at ')}` : ''
  return `${object.name}: ${volumeMl.toFixed(2)} ml, ${voxels} voxels${unused}${contradicted}`
}

/** A voxel on the slice of a prompt; undefined for a mask or an edit. */
export function placeOf(item) {
  const [[kind, content]] = Object.entries(item)
  if (kind === 'click') return content.at.voxel
  if (kind === 'box') return content.first.map((value, axis) => (value + content.last[axis]) / 2)
  if (kind === 'lasso') return content.outline[0]
  if (kind === 'scribble') return content.path[0]
  return undefined
}

function showMeasurements({ voxels, volumeMl, diameters }) {
  const lines = [['Volume', voxels ? `${volumeMl.toFixed(2)} ml, ${voxels} voxels` : 'none']]
  if (diameters) {
    lines.push(['Longest axial diameter', `${diameters.longest.length_mm.toFixed(1)} mm`])
    lines.push(['Perpendicular', `${diameters.perpendicular.length_mm.toFixed(1)} mm, slice ${diameters.slice}`])
  }
  byId('measurements').replaceChildren(...lines.flatMap(([term, text]) => [
    Object.assign(document.createElement('dt'), { textContent: term }),
    Object.assign(document.createElement('dd'), { textContent: text }),
  ]))
  byId('to-diameter').disabled = !diameters
}
