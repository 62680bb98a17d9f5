// Uses the page as a person does, in a real browser. Run by the test `page` of sam3d-cli, which starts the server and
// compares what is downloaded with the command line's mask.
//
//   node page.mjs ADDRESS BROWSER DIRECTORY SCENE
//
// SCENE is JSON: the study, two voxels to click, the value at the first, the threshold, a file to upload. Prints JSON: the voxels
// that were clicked.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const [address, executablePath, directory, text] = process.argv.slice(2)
const scene = JSON.parse(text)
const browser = await chromium.launch({
  executablePath,
  // A machine without a graphics card draws in software.
  args: ['--no-sandbox', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--ignore-gpu-blocklist'],
})
const page = await browser.newPage({ viewport: { width: 1280, height: 800 } })
const complaints = []
page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
page.on('pageerror', (error) => complaints.push(error.message))
page.on('request', (request) => {
  const { protocol, href } = new URL(request.url())
  if (protocol.startsWith('http') && !href.startsWith(address)) complaints.push(`asked elsewhere: ${href}`)
})

const textOf = (id) => page.textContent(`#${id}`)
const idle = () => page.waitForFunction(() => document.getElementById('status').dataset.state === 'idle')
const clicks = () => page.$$eval('#clicks li', (items) => items.map((item) => item.textContent))
const volume = () => page.textContent('#objects li.active .volume')
const location = async () => {
  const [, i, j, k, value] = (await textOf('location')).match(/^(\d+), (\d+), (\d+): (-?[\d.]+) HU$/)
  return { ijk: [i, j, k].map(Number), value: Number(value) }
}

/** Waits until the page has `count` clicks and an answer to them. */
async function answered(count) {
  await page.waitForFunction((wanted) => document.querySelectorAll('#clicks li').length === wanted, count)
  await idle()
  assert.equal(await textOf('error'), '')
}

/** Moves the crosshair to a voxel by keys. */
async function moveTo(ijk) {
  await page.focus('#view')
  const keys = [['ArrowLeft', 'ArrowRight'], ['ArrowUp', 'ArrowDown'], ['PageUp', 'PageDown']]
  for (const [axis, pair] of keys.entries()) {
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

async function download(format, name) {
  const [file] = await Promise.all([page.waitForEvent('download'), page.click(`.download[data-format="${format}"]`)])
  await file.saveAs(join(directory, name))
  await idle()
  return file.suggestedFilename()
}

const isNear = (a, b) => a.every((value, axis) => Math.abs(value - b[axis]) <= 1)
const voxelOf = (click) => click.slice(2).split(', ').map(Number)

await page.goto(address)
await page.waitForFunction(() => document.getElementById('study').options.length > 1)
await page.selectOption('#study', scene.study)
await page.waitForFunction(() => document.getElementById('status').textContent.startsWith('Click'))
assert.equal(await page.isVisible('#empty'), false)
assert.equal(await page.isEnabled('.download'), false)

// The voxel that is named under the crosshair is the file's: it has the file's value.
await moveTo(scene.clicks[0])
assert.equal((await location()).value, scene.value)
await page.fill('#threshold', String(scene.threshold))

// By keyboard.
await page.focus('#view')
await page.keyboard.press('Enter')
await answered(1)
assert.deepEqual(await clicks(), [`+ ${scene.clicks[0].join(', ')}`])
const byKey = await volume()
assert.notEqual(byKey, '0.00 ml')
assert.match(await textOf('status'), /ml, \d+ voxels/)
await page.screenshot({ path: join(directory, 'clicked.png') })
const circles = await page.$$eval('#markers circle.positive', (items) =>
  items.map((circle) => [Number(circle.getAttribute('cx')), Number(circle.getAttribute('cy'))]))
assert.equal(circles.length, 3, 'the click is marked in the three planes through it')

// Taken back.
await page.keyboard.press('u')
await answered(0)
assert.equal(await volume(), '0.00 ml')

// By mouse, in each plane, where the marker was.
const box = await page.locator('#view').boundingBox()
for (const [x, y] of circles) {
  await page.mouse.click(box.x + x, box.y + y)
  await answered(1)
  assert.ok(isNear(voxelOf((await clicks())[0]), scene.clicks[0]), `${await clicks()} for ${scene.clicks[0]}`)
  if (circles.at(-1) !== undefined && [x, y].join() !== circles.at(-1).join()) {
    await page.click('#undo')
    await answered(0)
  }
}
const clicked = [voxelOf((await clicks())[0])]
assert.match(await download('.nii.gz', 'mask.nii.gz'), /_mask\.nii\.gz$/)
const [session] = await Promise.all([page.waitForEvent('download'), page.click('#session')])
await session.saveAs(join(directory, 'session.json'))
assert.match(session.suggestedFilename(), /_session\.json$/)

// A second click and back again: the mask is the one before.
const before = await textOf('status').then(() => volume())
await moveTo(scene.clicks[0].map((index) => index + 2))
await page.keyboard.press('Enter')
await answered(2)
await page.keyboard.press('Control+z')
await answered(1)
assert.equal(await volume(), before)

// A click that the mask does not reach is named.
const dark = [scene.clicks[0][0] - 9, scene.clicks[0][1], scene.clicks[0][2]]
await moveTo(dark)
await page.keyboard.press('Enter')
await answered(2)
assert.match(await textOf('status'), new RegExp(`contradicts the click at ${dark.join(', ')}`))
await page.keyboard.press('u')
await answered(1)

// Clicks outside: these weights cannot use them, and the page says so.
await page.mouse.click(box.x + circles[0][0], box.y + circles[0][1], { button: 'right' })
assert.match(await textOf('error'), /negative clicks need weights/)
assert.equal((await clicks()).length, 1)
assert.equal(await page.isEnabled('#outside'), false)

// A drag and a click with Shift move the crosshair and click nothing.
await page.mouse.move(box.x + circles[0][0], box.y + circles[0][1])
await page.mouse.down()
await page.mouse.move(box.x + circles[0][0] + 30, box.y + circles[0][1] + 10, { steps: 3 })
await page.mouse.up()
await page.keyboard.down('Shift')
await page.mouse.click(box.x + circles[0][0], box.y + circles[0][1])
await page.keyboard.up('Shift')
assert.equal((await clicks()).length, 1)

// Another object, with a name of its own.
await page.keyboard.press('n')
await page.fill('#objects li.active input[type="text"]', 'second')
await page.fill('#threshold', String(scene.threshold))
await moveTo(scene.clicks[1])
await page.keyboard.press('Enter')
await answered(1)
clicked.push(scene.clicks[1])
assert.notEqual(await volume(), '0.00 ml')
assert.match(await download('.seg.nrrd', 'mask.seg.nrrd'), /_mask\.seg\.nrrd$/)

// A higher threshold, a smaller mask.
const wide = parseFloat(await volume())
await page.fill('#threshold', '0.5')
await page.waitForFunction((ml) => parseFloat(document.querySelector('#objects li.active .volume').textContent) > ml, wide)
await idle()

// Keys and panel.
await page.focus('#view')
await page.keyboard.press('3')
assert.equal(await page.inputValue('#window'), '2')
await page.keyboard.press('a')
assert.equal(await page.getAttribute('[data-plane="axial"]', 'aria-pressed'), 'true')
await page.keyboard.press('v')
await page.keyboard.press('m')
assert.equal(await textOf('opacity-value'), '0 %')
await page.keyboard.press('m')
await page.keyboard.press('?')
assert.ok(await page.isVisible('#help-dialog'))
await page.screenshot({ path: join(directory, 'help.png') })
await page.keyboard.press('Escape')
assert.equal(await page.isVisible('#help-dialog'), false)

// A tablet held upright: nothing sticks out.
await page.setViewportSize({ width: 820, height: 1180 })
const overflow = () => page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth)
assert.ok((await overflow()) <= 0, 'the page is wider than a tablet')
assert.ok((await page.locator('#view').boundingBox()).height > 400)
await page.screenshot({ path: join(directory, 'tablet.png') })
await page.setViewportSize({ width: 1280, height: 800 })

// A file of one's own.
await page.setInputFiles('#open', scene.upload)
await page.waitForFunction((name) => document.title.startsWith(name), scene.upload.split('/').at(-1))
await idle()
assert.equal((await clicks()).length, 0)
await moveTo(scene.clicks[0])
await page.keyboard.press('Enter')
await answered(1)

// A click that is refused takes nothing with it: the one before it, still unanswered, is answered and shown.
await page.keyboard.press('n')
await page.fill('#threshold', String(scene.threshold))
let held
await page.route('**/api/mask*', async (route) => {
  const { clicks } = route.request().postDataJSON()
  if (clicks.length === 1 && !held) {
    held = true
    return
  }
  if (clicks.length === 2) await route.fulfill({ status: 400, json: { detail: 'refused by the test' } })
  else await route.continue()
})
await moveTo(scene.clicks[0])
await page.keyboard.press('Enter')
await page.waitForFunction(() => document.getElementById('status').dataset.state === 'busy')
await page.keyboard.press('Enter')
await page.waitForFunction(() => document.getElementById('error').textContent.includes('refused by the test'))
await idle()
assert.equal((await clicks()).length, 1)
assert.notEqual(await volume(), '0.00 ml', 'the file would hold a mask that is not shown')
await page.unroute('**/api/mask*')

// A damaged study shows no image, and not the one before it.
await page.selectOption('#study', 'damaged')
await page.waitForFunction(() => document.getElementById('error').textContent.startsWith('damaged: '))
assert.equal(await page.title(), 'sam3d')
assert.equal(await page.inputValue('#study'), '')
assert.ok(await page.isVisible('#empty'))
assert.equal((await clicks()).length, 0)
assert.equal(await textOf('location'), '')
assert.equal(await page.isEnabled('.download'), false)
await page.mouse.click(box.x + circles[0][0], box.y + circles[0][1])
assert.match(await textOf('error'), /^damaged: /, 'a click removes the error')
await page.screenshot({ path: join(directory, 'damaged.png') })

// The browser itself complains about the two answers that the test brought about.
const expected = /the server responded with a status of 400/
assert.deepEqual(complaints.filter((complaint) => !expected.test(complaint)), [])
await browser.close()
console.log(JSON.stringify({ clicked }))
