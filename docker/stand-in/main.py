// Not Python: the ComfyUI stand-in, started the way ComfyUI is. In the image that CI builds, /opt/venv/bin/python is Node.
import('/opt/comfy-runpod/dist/sandbox/comfyui/main.js').then(({ main }) => main(process.argv.slice(2)));
