// Opens, clicks, sees, undoes and downloads. The test `page` compares what is downloaded with the command line's mask.
//
// The scene: the study, two voxels to click, the value at the first, the threshold, a file to upload. Prints JSON: the voxels that were
// clicked.
import assert from 'node:assert/strict'
import {
  address, answered, clicks, drawn, end, idle, location, middles, moveTo, openStudy, page, saved, scene, shot, textOf, volume,
} from './browser.mjs'

const download = (format, name) => saved(`.download[data-format="${format}"]`, name)
const isNear = (a, b) => a.every((value, axis) => Math.abs(value - b[axis]) <= 1)
const voxelOf = (click) => click.slice(2).split(', ').map(Number)

await page.goto(address)
await openStudy(scene.study)
// The keyboard works in the image at once.
const start = (await location()).ijk[2]
await page.keyboard.press('PageUp')
assert.notEqual((await location()).ijk[2], start)
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
await drawn()
await shot('clicked.png')
const circles = await middles('.marks circle.positive:not(.halo)')
assert.equal(circles.length, 3, 'the click is marked in the three planes through it')

// Taken back.
await page.keyboard.press('u')
await answered(0)
assert.equal(await volume(), '0.00 ml')

// By mouse, in each plane, where the marker was.
for (const [x, y] of circles) {
  await page.mouse.click(x, y)
  await answered(1)
  assert.ok(isNear(voxelOf((await clicks())[0]), scene.clicks[0]), `${await clicks()} for ${scene.clicks[0]}`)
  if (circles.at(-1) !== undefined && [x, y].join() !== circles.at(-1).join()) {
    await page.click('#undo')
    await answered(0)
  }
}
const clicked = [voxelOf((await clicks())[0])]
assert.match(await download('.nii.gz', 'mask.nii.gz'), /_mask\.nii\.gz$/)
assert.match(await saved('#session', 'session.json'), /_session\.json$/)

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
await page.mouse.click(...circles[0], { button: 'right' })
assert.match(await textOf('error'), /negative clicks need weights/)
assert.equal((await clicks()).length, 1)
assert.equal(await page.isEnabled('#outside'), false)

// A drag and a click with Shift move the crosshair and click nothing.
await page.mouse.move(...circles[0])
await page.mouse.down()
await page.mouse.move(circles[0][0] + 30, circles[0][1] + 10, { steps: 3 })
await page.mouse.up()
await page.keyboard.down('Shift')
await page.mouse.click(...circles[0])
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
await shot('help.png')
await page.keyboard.press('Escape')
assert.equal(await page.isVisible('#help-dialog'), false)

// A tablet held upright: nothing sticks out.
await page.setViewportSize({ width: 820, height: 1180 })
const overflow = () => page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth)
assert.ok((await overflow()) <= 0, 'the page is wider than a tablet')
assert.ok((await page.locator('#view').boundingBox()).height > 400)
await shot('tablet.png')
// A telephone: nothing sticks out, and every control can be scrolled to.
await page.setViewportSize({ width: 390, height: 844 })
assert.ok((await overflow()) <= 0, 'the page is wider than a telephone')
for (const control of await page.locator('header :is(select, button, .button), #tools button:visible, #panel :is(button:visible, select, input:visible)').all()) {
  await control.scrollIntoViewIfNeeded()
  const { x, width } = await control.boundingBox()
  assert.ok(x >= 0 && x + width <= 390, `${await control.evaluate((element) => element.outerHTML)} is out of reach`)
}
await shot('telephone.png')
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
  const { prompts } = route.request().postDataJSON()
  if (prompts.length === 1 && !held) {
    held = true
    return
  }
  if (prompts.length === 2) await route.fulfill({ status: 400, json: { detail: 'refused by the test' } })
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
await page.mouse.click(...circles[0])
assert.match(await textOf('error'), /^damaged: /, 'a click removes the error')
await shot('damaged.png')

// The browser itself complains about the two answers that the test brought about.
await end({ clicked }, /the server responded with a status of 400/)
