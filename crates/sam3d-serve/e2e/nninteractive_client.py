"""Uses the server with nnInteractive's own client, as 3D Slicer, napari and MITK do. Run by the test `nninteractive` of sam3d-cli.

    python nninteractive_client.py session|expiry ADDRESS KEY DIRECTORY I J K

The client: pip install nninteractive-client==2.6.0
"""

import json
import sys
import time

import httpx
import numpy as np
from nnInteractive.inference.remote.remote_session import (
    ServerAtCapacityError,
    SessionExpiredError,
    nnInteractiveRemoteInferenceSession as Session,
)

part, address, key, directory, *voxel = sys.argv[1:]
i, j, k = map(int, voxel)
image = np.fromfile(f"{directory}/sent.raw", dtype=np.int16).reshape(30, 56, 64)


def refused(kind, action):
    try:
        action()
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}")


def kept(session, name):
    """The client's mask and the log of the session that made it."""
    session.target_buffer.astype(np.uint8).tofile(f"{directory}/{name}.raw")
    log = session._http.get("/session_log")
    log.raise_for_status()
    with open(f"{directory}/{name}.json", "w") as file:
        json.dump(log.json(), file)


def expiry():
    session = Session(address, api_key=key)
    assert session.idle_timeout_seconds == 1, session.idle_timeout_seconds
    start = time.monotonic()
    while True:
        try:
            session.lease_status()
        except SessionExpiredError:
            break
        assert time.monotonic() - start < 60, "the lease is held for ever"
    refused(SessionExpiredError, session.reset_interactions)
    session.close()


def whole_session():
    error = refused(httpx.HTTPStatusError, lambda: Session(address, api_key="not-the-key-of-tests"))
    assert error.response.status_code == 401, error

    session = Session(address, api_key=key)
    assert session.ping() and session.supports_undo and session.supports_initial_label
    assert all(session.supported_interactions.values()), session.supported_interactions
    assert len(session.preferred_scribble_thickness) == 3
    second = Session(address, api_key=key)
    refused(ServerAtCapacityError, lambda: Session(address, api_key=key))
    second.close()
    Session(address, api_key=key).close()

    session.set_image(image[None], {"spacing": np.array([1.5, 1.0, 1.0])})
    assert session.original_image_shape == (1, 30, 56, 64), session.original_image_shape
    session.set_target_buffer(np.zeros(image.shape, dtype=np.uint16))
    session.set_do_autozoom(False)
    session.reset_interactions()
    changed = session.add_point_interaction((k, j, i), include_interaction=True)
    one = session.target_buffer.copy()
    assert changed is not None and one.max() == 1 and one.sum() > 0
    session.add_point_interaction((k, j + 0.4, i + 9), include_interaction=False)
    assert (session.target_buffer != one).any()
    assert session.undo() and (session.target_buffer == one).all()
    assert not session.undo()
    session.add_bbox_interaction([[k, k + 1], [j - 6, j + 7], [i - 6, i + 7]], include_interaction=True)
    scribble = np.zeros(image.shape, dtype=np.uint8)
    scribble[k, j + 8 : j + 10, i - 3 : i + 5] = 1
    session.add_scribble_interaction(scribble, include_interaction=False)
    stroke = np.ones((1, 2, 5), dtype=np.uint8)
    session.add_scribble_interaction(
        stroke, include_interaction=True, interaction_bbox=[[k + 2, k + 3], [j, j + 2], [i - 2, i + 3]]
    )
    lasso = np.zeros((9, 9), dtype=np.uint8)
    lasso[[0, -1], :] = lasso[:, [0, -1]] = 1
    session.add_lasso_interaction(
        lasso[:, None, :], include_interaction=True, interaction_bbox=[[k - 4, k + 5], [j, j + 1], [i - 4, i + 5]]
    )
    kept(session, "prompts")

    # As a viewer comes back to a segment: the mask first, of another type.
    session.reset_interactions()
    begun = np.zeros(image.shape, dtype=bool)
    begun[k - 2 : k + 3, j - 4 : j + 5, i - 4 : i + 5] = True
    session.set_target_buffer(np.zeros(image.shape, dtype=bool))
    session.add_initial_seg_interaction(begun.astype(np.uint8), run_prediction=False)
    assert (session.target_buffer == begun).all()
    session.add_point_interaction((k, j, i), include_interaction=True, run_prediction=False)
    assert (session.target_buffer == begun).all()
    assert session._predict() is not None
    kept(session, "begun")
    error = refused(httpx.HTTPStatusError, lambda: session.add_point_interaction((99, 0, 0), include_interaction=True))
    assert error.response.status_code == 400 and "outside the image" in error.response.text, error.response.text
    assert session.heartbeat() > 500
    session.close()


{"session": whole_session, "expiry": expiry}[part]()
