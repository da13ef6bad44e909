// A thumb joystick: `base` is shown while the viewer flies, and its knob moves the camera while it is held.
export function joystick(viewer, base) {
    const knob = base.firstElementChild;
    let pointer = null;
    const move = (x, z) => {
        knob.style.translate = `${50 * x}% ${-50 * z}%`; // of its own size, which is half the base's
        viewer.setMoveInput(x, z);
    };
    const release = ({ pointerId }) => {
        if (pointerId === pointer) {
            pointer = null;
            move(0, 0);
        }
    };
    const follow = ({ pointerId, clientX, clientY }) => {
        if (pointerId !== pointer) {
            return;
        }
        const { left, top, width, height } = base.getBoundingClientRect();
        const [x, z] = [(clientX - left) / width * 4 - 2, 2 - (clientY - top) / height * 4];
        const length = Math.max(1, Math.hypot(x, z));
        move(x / length, z / length);
    };
    base.addEventListener('pointerdown', (event) => {
        if (pointer === null) {
            pointer = event.pointerId;
            base.setPointerCapture(pointer);
            follow(event);
        }
    });
    base.addEventListener('pointermove', follow);
    for (const end of ['pointerup', 'pointercancel', 'lostpointercapture']) {
        base.addEventListener(end, release);
    }
    const show = () => {
        base.hidden = viewer.state.cameraMode !== 'fly';
        if (base.hidden && pointer !== null) {
            release({ pointerId: pointer });
        }
    };
    viewer.events.on('cameraMode:changed', show);
    show();
}
