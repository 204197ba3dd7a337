/** A test fails by what it sees, not by how busy the machine is. */
import { jest } from '@jest/globals';

jest.setTimeout(30_000);
