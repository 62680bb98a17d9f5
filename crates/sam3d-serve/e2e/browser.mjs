// What the scripts share that use the page as a person does, in a real browser. Run by tests of sam3d-cli, which start the server.
//
//   node SCRIPT ADDRESS BROWSER DIRECTORY SCENE
//
// SCENE is JSON.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const [address, executablePath, directory, text] = process.argv.slice(2)
export { address, directory }
export const scene = JSON.parse(text)

export const browser = await chromium.launch({
  executablePath,
  // A machine without a graphics card draws in software.
  args: ['--no-sandbox', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--ignore-gpu-blocklist'],
})
const context = await browser.newContext({ viewport: { width: 1280, height: 800 } })
export const page = await context.newPage()
const complaints = []
page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
page.on('pageerror', (error) => complaints.push(error.stack))
/** Where requests may go. */
export const allowed = [address]
page.on('request', (request) => {
  const { protocol, href } = new URL(request.url())
  if (protocol.startsWith('http') && !allowed.some((start) => href.startsWith(start))) complaints.push(`asked elsewhere: ${href}`)
})

export const textOf = (id) => page.textContent(`#${id}`)
export const idle = () => page.waitForFunction(() => document.getElementById('status').dataset.state === 'idle')
export const clicks = () => page.$$eval('#clicks li .link', (items) => items.map((item) => item.textContent))
export const volume = () => page.textContent('#objects li.active .volume')
export const volumes = () => page.$$eval('#objects .volume', (items) => items.map((item) => item.textContent))
export const location = async () => {
  const [, i, j, k, value] = (await textOf('location')).match(/^(\d+), (\d+), (\d+): (-?[\d.]+) HU$/)
  return { ijk: [i, j, k].map(Number), value: Number(value) }
}
export const shot = (name) => page.screenshot({ path: join(directory, name) })

export async function openStudy(name) {
  await page.waitForFunction(() => document.getElementById('study').options.length > 1)
  await page.selectOption('#study', name)
  await page.waitForFunction(() => document.getElementById('status').textContent.startsWith('Click'))
}

/** Waits until the active object has `count` prompts and edits, and an answer to them. */
export async function answered(count) {
  await page.waitForFunction((wanted) => document.querySelectorAll('#clicks li').length === wanted, count)
  await idle()
  assert.equal(await textOf('error'), '')
}

/** Moves the crosshair to a voxel by keys. */
export async function moveTo(ijk) {
  await page.focus('#view')
  const keys = [['ArrowLeft', 'ArrowRight'], ['ArrowUp', 'ArrowDown'], ['PageUp', 'PageDown']]
  for (const [axis, pair] of keys.entries()) {
    await page.keyboard.press('A')
    await page.keyboard.press('V')
    let [key, other] = pair
    for (let step = 0; step < 200; step += 1) {
      const before = Math.abs((await location()).ijk[axis] - ijk[axis])
      if (before === 0) break
      await page.keyboard.press(key)
      if (Math.abs((await location()).ijk[axis] - ijk[axis]) > before) [key, other] = [other, key]
    }
  }
  assert.deepEqual((await location()).ijk, ijk)
}

/** Saves the file that a click on `selector` brings. */
export async function saved(selector, name) {
  const [file] = await Promise.all([page.waitForEvent('download'), page.click(selector)])
  await file.saveAs(join(directory, name))
  await idle()
  return file.suggestedFilename()
}

/** The next frame was drawn. */
export const drawn = () => page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))))

/** Draws a stroke in a plane, through places given as parts of its width and height. */
export async function draw(pane, places, button = 'left') {
  const box = await page.locator(`[data-pane="${pane}"] canvas`).boundingBox()
  const points = places.map(([x, y]) => [box.x + x * box.width, box.y + y * box.height])
  await page.mouse.move(...points[0])
  await page.mouse.down({ button })
  for (const point of points.slice(1)) await page.mouse.move(...point, { steps: 4 })
  await page.mouse.up({ button })
}

/** The middles of the elements of a selector on the screen, as parts of the pane's width and height if `pane` is given. */
export const middles = (selector) => page.$$eval(selector, (items) => items.map((item) => {
  const { x, y, width, height } = item.getBoundingClientRect()
  return [x + width / 2, y + height / 2]
}))

/** Ends; the browser must have had nothing to complain of but `expected`. */
export async function end(told, expected = /$^/) {
  assert.deepEqual(complaints.filter((complaint) => !expected.test(complaint)), [])
  await browser.close()
  console.log(JSON.stringify(told))
}
