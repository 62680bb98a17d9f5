"""Uses the server with MONAI Label's own Python client, as 3D Slicer does. Run by the test `client` of sam3d-cli.

    python monai_client.py ADDRESS IMAGE STUDY "I,J,K" THRESHOLD DIRECTORY

The client: pip install --no-deps monailabel==0.8.5 && pip install requests
"""

import json
import shutil
import sys

from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelClientException

address, image, study, voxel, threshold, directory = sys.argv[1:]
click = [int(index) for index in voxel.split(",")]
threshold = float(threshold)
client = MONAILabelClient(address, tmpdir=directory, client_id="user-xyz")


def kept(path, name):
    """The client gives every answer the same name."""
    target = f"{directory}/{name}"
    shutil.move(path, target)
    return target


assert client.auth_enabled() is False
info = client.info()
assert info["models"]["sam3d"]["type"] == "deepgrow", info
assert info["models"]["sam3d_deepedit"]["type"] == "deepedit", info
assert client.train_status(check_if_running=True) is False
(target,) = info["labels"]

session = client.create_session(image)
session_id = session["session_id"]
assert client.get_session(session_id)["name"] == image.split("/")[-1]
deepgrow = {"label": "lesion", "foreground": [click], "background": [], "threshold": threshold}
mask, params = client.infer("sam3d", "", dict(deepgrow), session_id=session_id)
assert params["label_names"] == {"lesion": 1}, params
kept(mask, "session.nii.gz")

deepedit = {"label": target, target: [click], "background": [], "threshold": threshold, "result_extension": ".nrrd"}
mask, params = client.infer("sam3d_deepedit", study, dict(deepedit))
assert params["latencies"]["encoder"] == 0, params
kept(mask, "study.nrrd")

mask, _ = client.infer("sam3d", "", dict(deepgrow), file=image)
label = kept(mask, "file.nii.gz")

try:
    client.infer("sam3d", study, {"foreground": [click], "background": [click], "threshold": threshold})
    raise AssertionError("a negative click was taken")
except MONAILabelClientException as error:
    assert "Status: 400" in error.msg and "negative clicks" in error.msg, error.msg

assert client.next_sample("first", {})["id"] == study
saved = client.save_label(study, label, params={"label_info": [{"name": target, "idx": 1}]})
assert saved == {"image": study, "label": study}, saved
objects = client.datastore()["objects"]
assert "final" in objects[study]["labels"], objects
kept(client.download_label(study, "final"), "saved.nii.gz")

assert client.upload_image(image, "from Slicer")["image"] == "from Slicer"
mask, _ = client.infer("sam3d", "from Slicer", dict(deepgrow))
assert client.save_label("from Slicer", mask)["label"] == "from Slicer"

client.remove_session(session_id)
try:
    client.get_session(session_id)
    raise AssertionError("the session is still there")
except MONAILabelClientException as error:
    assert error.status_code == 404, error.msg
print(json.dumps({"labels": info["labels"]}))
