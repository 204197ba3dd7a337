/**
 * A non-negative integer of at most 2^53 as Go's `strconv.FormatFloat(n, 'g', -1, 64)` writes it, which Prometheus's Go
 * client uses: in digits below 10^6, then as the shortest mantissa with an exponent of at least two digits.
 */
export const goNumber = (value: number): string => {
  const digits = String(value);
  if (value < 1e6) return digits;
  const mantissa = digits.replace(/0+$/, '');
  const exponent = String(digits.length - 1).padStart(2, '0');
  const rest = mantissa.slice(1);
  return `${mantissa[0]}${rest === '' ? '' : `.${rest}`}e+${exponent}`;
};
