// The sparse cloud and its cameras on a canvas, turning slowly until somebody takes hold of it. z is up.

const CAMERA = '#ffb02e';

function array(text, Kind) {
    return new Kind(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
}

export function showCloud(canvas, cloud) {
    const positions = array(cloud.points.positions, Float32Array);
    const colors = array(cloud.points.colors, Uint8Array);
    const reach = extent(cloud.cameras, positions);
    const view = { turn: -0.6, tilt: 0.75, zoom: 1, held: matchMedia('(prefers-reduced-motion: reduce)').matches };
    let drag = null;
    canvas.onpointerdown = (event) => {
        drag = { x: event.clientX, y: event.clientY, turn: view.turn, tilt: view.tilt };
        view.held = true;
        canvas.setPointerCapture(event.pointerId);
    };
    canvas.onpointermove = (event) => {
        if (drag) {
            view.turn = drag.turn + (event.clientX - drag.x) / 150;
            view.tilt = Math.min(1.57, Math.max(0, drag.tilt + (event.clientY - drag.y) / 150));
        }
    };
    canvas.onpointerup = canvas.onpointercancel = () => { drag = null; };
    canvas.onwheel = (event) => {
        event.preventDefault();
        view.zoom = Math.min(12, Math.max(0.4, view.zoom * Math.exp(-event.deltaY / 600)));
    };
    canvas.onkeydown = (event) => {
        const turns = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[event.key];
        if (turns) {
            event.preventDefault();
            view.held = true;
            view.turn += turns[0];
            view.tilt = Math.min(1.57, Math.max(0, view.tilt + turns[1]));
        }
    };
    let before = 0;
    function frame(now) {
        if (!canvas.isConnected || canvas.closest('[hidden]')) {
            return;
        }
        if (now - before > 40) { // 25 a second are enough
            view.turn += view.held ? 0 : 0.006;
            paint(canvas, positions, colors, cloud.cameras, view, reach);
            before = now;
        }
        requestAnimationFrame(frame);
    }
    requestAnimationFrame(frame);
}

// Half the size of what to show: all cameras and nine tenths of the points.
function extent(cameras, positions) {
    const distances = cameras.map(({ position }) => Math.hypot(...position));
    const points = Array.from({ length: positions.length / 3 }, (_, i) => Math.hypot(positions[3 * i], positions[3 * i + 1], positions[3 * i + 2]));
    points.sort((a, b) => a - b);
    return Math.max(...distances, points[Math.floor(points.length * 0.9)] ?? 0, 1e-6);
}

function paint(canvas, positions, colors, cameras, view, reach) {
    const ratio = Math.min(devicePixelRatio, 2);
    const width = Math.round(canvas.clientWidth * ratio);
    const height = Math.round(canvas.clientHeight * ratio);
    Object.assign(canvas, { width, height });
    const context = canvas.getContext('2d');
    const picture = context.createImageData(width, height);
    const pixels = new Uint32Array(picture.data.buffer).fill(0xff1a1410);
    const depths = new Float32Array(width * height).fill(-Infinity);
    const [cosT, sinT, cosE, sinE] = [Math.cos(view.turn), Math.sin(view.turn), Math.cos(view.tilt), Math.sin(view.tilt)];
    const scale = 0.46 * Math.min(width, height) / reach * view.zoom;
    const project = (x, y, z) => {
        const ahead = x * sinT + y * cosT;
        return [width / 2 + scale * (x * cosT - y * sinT), height / 2 - scale * (z * cosE + ahead * sinE), z * sinE - ahead * cosE];
    };
    const size = Math.max(1, Math.round(ratio));
    for (let i = 0; i < positions.length; i += 3) {
        const [px, py, near] = project(positions[i], positions[i + 1], positions[i + 2]);
        const color = 0xff000000 | colors[i + 2] << 16 | colors[i + 1] << 8 | colors[i];
        for (let dy = 0; dy < size; dy += 1) {
            for (let dx = 0; dx < size; dx += 1) {
                const [column, row] = [Math.round(px) + dx, Math.round(py) + dy];
                const at = row * width + column;
                if (column >= 0 && column < width && row >= 0 && row < height && near > depths[at]) {
                    depths[at] = near;
                    pixels[at] = color;
                }
            }
        }
    }
    context.putImageData(picture, 0, 0);
    context.strokeStyle = context.fillStyle = CAMERA;
    context.lineWidth = 1.5 * ratio;
    for (const { position, forward } of cameras) {
        const [x, y] = project(...position);
        const [toX, toY] = project(...position.map((value, axis) => value + 0.09 * reach * forward[axis]));
        context.beginPath();
        context.moveTo(x, y);
        context.lineTo(toX, toY);
        context.stroke();
        context.beginPath();
        context.arc(x, y, 3.2 * ratio, 0, 7);
        context.fill();
    }
}
