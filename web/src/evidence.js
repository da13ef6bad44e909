// Shows what happened to each photo of a failed job, from structure from motion's photos.json.
import { byId } from './page.js';
import { make } from './words.js';

export function showOutcomes(pictures) {
    const { text, rows } = outcomes(pictures);
    byId('outcomes-text').textContent = text;
    byId('outcomes-rows').replaceChildren(...rows.map(({ name, said }) => {
        const row = make('tr');
        row.append(make('th', name, { scope: 'row' }), make('td', said));
        return row;
    }));
    byId('outcomes').hidden = false;
}

// Lists the photos that were not placed first; second images of a shot do not count.
export function outcomes(pictures) {
    const photos = pictures.filter(({ kind }) => kind === undefined);
    const placed = photos.filter(({ registered }) => registered);
    const lost = photos.filter(({ registered }) => !registered);
    const name = ({ original, film, seconds }) => (film === undefined ? original : `${film}, ${seconds.toFixed(1)} s`);
    return {
        text: `${placed.length.toLocaleString('en')} of ${photos.length.toLocaleString('en')} photos were placed.`,
        rows: [
            ...lost.map((photo) => ({ name: name(photo), said: photo.reason ?? 'not placed' })),
            ...placed.map((photo) => ({ name: name(photo), said: 'placed' }))
        ]
    };
}
