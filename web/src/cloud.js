// Paints the sparse cloud and its cameras on a canvas; z is up.

const CAMERA = '#ffb02e';
const TURN_STEP = 0.012;
const SHOWN = 0.97; // of the points fit into the picture; the rest are specks far away

function array(text, Kind) {
    return new Kind(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
}

// Paints only when something changes or the canvas comes into view. `button` starts one turn and stops it. A plain wheel
// and a vertical swipe scroll the page. Returns a function that ends the painting, because the next job's cloud is
// painted on the same canvas.
export function showCloud(canvas, cloud, button) {
    const positions = array(cloud.points.positions, Float32Array);
    const colors = array(cloud.points.colors, Uint8Array);
    const reach = extent(cloud.cameras, positions);
    const view = { turn: -0.6, tilt: 0.75, zoom: 1 };
    let drag = null;
    let painted = false; // whether the canvas shows the current view
    let turning = 0; // radians of the turn that are left
    let before = 0;
    const repaint = () => {
        if (!painted) {
            return;
        }
        painted = false;
        requestAnimationFrame(frame);
    };
    function frame(now) {
        if (turning > 0 && now - before > 40) { // 25 a second are enough
            view.turn += TURN_STEP;
            turning -= TURN_STEP;
            before = now;
        }
        if (canvas.clientWidth > 0 && canvas.clientHeight > 0) { // 0 while it is hidden, and an empty picture cannot be created
            paint(canvas, positions, colors, cloud.cameras, view, reach);
        }
        painted = turning <= 0 || !canvas.isConnected || Boolean(canvas.closest('[hidden]'));
        if (painted) {
            halt();
        } else {
            requestAnimationFrame(frame);
        }
    }
    function halt() {
        turning = 0;
        button.textContent = 'Rotate once';
    }
    button.onclick = () => {
        if (turning > 0) {
            halt();
        } else {
            turning = 2 * Math.PI;
            button.textContent = 'Pause';
            repaint();
        }
    };
    canvas.onpointerdown = (event) => {
        drag = { x: event.clientX, y: event.clientY, turn: view.turn, tilt: view.tilt };
        halt();
        canvas.setPointerCapture(event.pointerId);
    };
    canvas.onpointermove = (event) => {
        if (drag) {
            view.turn = drag.turn + (event.clientX - drag.x) / 150;
            view.tilt = tilted(drag.tilt + (event.clientY - drag.y) / 150);
            repaint();
        }
    };
    canvas.onpointerup = canvas.onpointercancel = () => { drag = null; };
    canvas.onwheel = (event) => {
        if (event.ctrlKey || event.metaKey) {
            event.preventDefault();
            zoom(Math.exp(-event.deltaY / 600));
        }
    };
    function zoom(factor) {
        view.zoom = Math.min(12, Math.max(0.4, view.zoom * factor));
        repaint();
    }
    canvas.onkeydown = (event) => {
        const turns = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[event.key];
        const factor = { '+': 1.2, '=': 1.2, '-': 1 / 1.2 }[event.key];
        if (turns || factor) {
            event.preventDefault();
            halt();
            view.turn += turns?.[0] ?? 0;
            view.tilt = tilted(view.tilt + (turns?.[1] ?? 0));
            zoom(factor ?? 1);
        }
    };
    const observers = [
        new ResizeObserver(repaint),
        new IntersectionObserver(([{ isIntersecting }]) => (isIntersecting ? repaint() : halt()))
    ];
    observers.forEach((observer) => { observer.observe(canvas); });
    requestAnimationFrame(frame);
    return () => {
        halt();
        observers.forEach((observer) => { observer.disconnect(); });
    };
}

const tilted = (tilt) => Math.min(1.57, Math.max(0, tilt));

// The radius that holds all cameras and nearly all points.
function extent(cameras, positions) {
    const distances = cameras.map(({ position }) => Math.hypot(...position));
    const points = Array.from({ length: positions.length / 3 }, (_, i) => Math.hypot(positions[3 * i], positions[3 * i + 1], positions[3 * i + 2]));
    points.sort((a, b) => a - b);
    return Math.max(...distances, points[Math.floor(points.length * SHOWN)] ?? 0, 1e-6);
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
