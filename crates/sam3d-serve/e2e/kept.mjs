// Works on a study, loses the connection, and comes back: after a reload, and, called again with the address that it printed, after
// the server was killed and started again. The test `page_kept` does that.
//
// The scene: the study, two voxels to click, the threshold; at the second call the work, and what the first one saw.
import assert from 'node:assert/strict'
import {
  address, answered, clicks, end, idle, moveTo, openStudy, page, scene, shot, textOf, volumes,
} from './browser.mjs'

const kept = () => page.waitForFunction(() => document.getElementById('kept').textContent === 'Kept on the server')
const seen = async () => ({ volumes: await volumes(), clicks: await clicks(), name: await page.inputValue('#objects li:first-child input[type="text"]') })

async function click(ijk, count) {
  await moveTo(ijk)
  await page.keyboard.press('Enter')
  await answered(count)
}

/** Waits until the masks are there again. */
const restored = (expected) => page.waitForFunction(
  (wanted) => JSON.stringify([...document.querySelectorAll('#objects .volume')].map((item) => item.textContent)) === wanted,
  JSON.stringify(expected.volumes),
)

if (scene.work) {
  await page.goto(scene.work)
  await restored(scene.seen)
  assert.deepEqual(await seen(), scene.seen)
  assert.equal(await page.title(), `${scene.study} - sam3d`)
  // What can be undone and redone outlived the server, too.
  await page.focus('#view')
  await page.keyboard.press('Control+y')
  await answered(2)
  await page.keyboard.press('u')
  await page.keyboard.press('u')
  await answered(0)
  await shot('returned.png')
  await end({})
} else {
  await page.goto(address)
  await openStudy(scene.study)
  assert.equal(new URL(page.url()).search, `?study=${scene.study}`)
  await page.fill('#threshold', String(scene.threshold))
  await page.fill('#objects li:first-child input[type="text"]', 'lesion A')
  await click(scene.clicks[0], 1)
  await page.keyboard.press('n')
  await page.fill('#threshold', String(scene.threshold))
  await click(scene.clicks[1], 1)
  await click(scene.clicks[1].map((index) => index + 1), 2)
  await page.keyboard.press('u')
  await answered(1)
  await kept()
  const before = await seen()
  assert.ok(before.volumes.every((text) => text !== '0.00 ml'), `${before.volumes}`)
  await page.waitForTimeout(600)
  await page.reload()
  await restored(before)
  assert.deepEqual(await seen(), before)

  // The connection is lost and comes back: nothing is lost, and what was asked meanwhile is answered.
  await page.context().setOffline(true)
  await page.focus('#view')
  await page.keyboard.press('Control+y')
  await page.waitForFunction(() => document.getElementById('kept').dataset.state === 'lost')
  assert.match(await textOf('kept'), /does not answer/)
  await moveTo(scene.clicks[1].map((index) => index - 1))
  await page.keyboard.press('Enter')
  await page.context().setOffline(false)
  await answered(3)
  await kept()
  await page.keyboard.press('u')
  await page.keyboard.press('u')
  await answered(1)
  await page.waitForTimeout(600)
  await kept()
  assert.deepEqual(await seen(), before)

  // Another window writes: this one says so, and loses nothing of the other's.
  const other = await page.context().newPage()
  await other.goto(page.url())
  await other.waitForFunction(() => document.getElementById('kept').textContent === 'Kept on the server')
  await other.waitForFunction(() => document.getElementById('status').textContent.startsWith('Click') || document.getElementById('status').textContent.includes('voxels'))
  await other.fill('#objects li:first-child input[type="text"]', 'lesion B')
  await other.keyboard.press('Tab')
  await other.waitForTimeout(800)
  await page.keyboard.press('n')
  await page.waitForFunction(() => document.getElementById('error').textContent.includes('another window'))
  await other.fill('#objects li:first-child input[type="text"]', 'lesion A')
  await other.keyboard.press('Tab')
  await other.keyboard.press('Control+z')
  await other.keyboard.press('Control+z')
  await other.waitForTimeout(800)
  await other.close()

  // What was undone can be redone by whoever comes back.
  await page.reload()
  await restored(before)
  await click(scene.clicks[1].map((index) => index + 1), 2)
  await page.keyboard.press('u')
  await answered(1)
  await page.waitForTimeout(600)
  await kept()
  assert.deepEqual(await seen(), before)
  await end({ work: page.url(), seen: before }, /ERR_INTERNET_DISCONNECTED|status of 412/)
}
