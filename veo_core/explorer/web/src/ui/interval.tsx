// A figure with its interval on a scale, and marks of what to hold it against.
export function IntervalMark({ low, value, high, top, bottom = 0, reference, control }: {
  low: number; value: number; high: number; top: number; bottom?: number; reference?: number | null; control?: number | null;
}) {
  const x = (figure: number) => 100 * Math.min(1, Math.max(0, (figure - bottom) / (top - bottom || 1)));
  return (
    <svg class="interval" viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true">
      <line class="axis" x1="0" x2="100" y1="6" y2="6" />
      {control != null && <line class="control" x1={x(control)} x2={x(control)} y1="1" y2="11" />}
      {reference != null && <line class="reference" x1={x(reference)} x2={x(reference)} y1="1" y2="11" />}
      <line class="range" x1={x(low)} x2={x(high)} y1="6" y2="6" />
      <line class="point" x1={x(value)} x2={x(value)} y1="2" y2="10" />
    </svg>
  );
}
