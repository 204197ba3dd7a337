-- Included by commit.lua, behind columns.lua: sketches of what overflowed. As demand.ts does it.

local REGISTERS, WINDOWS = 512, 5

-- The account's sketch of what overflowed, with the marks of this call.
local function noteDemand(account, now)
  local width, bytes = math.max(1, math.ceil(account.staleS / 4)), 4 + REGISTERS
  local stored = account.exists and redis.call('HGET', account.totalsKey, 'demand') or ''
  local windows = {}
  for at = 1, #stored - bytes + 1, bytes do
    if unpackStruct('<I4', stored, at) > now - account.staleS - width then
      windows[#windows + 1] = sub(stored, at, at + bytes - 1)
    end
  end
  local last = windows[#windows]
  if not last or now - unpackStruct('<I4', last) >= width then
    last = packStruct('<I4', now) .. string.rep('\0', REGISTERS)
    windows[#windows + 1] = last
  end
  local registers = { string.byte(last, 5, bytes) }
  for at = 1, #account.demand - 1, 2 do
    local mark = unpackStruct('<I2', account.demand, at)
    local register, rank = math.floor(mark / 64) + 1, mark % 64
    registers[register] = math.max(registers[register], rank)
  end
  windows[#windows] = sub(last, 1, 4) .. string.char(unpack(registers))
  account.sketch = table.concat(windows, '', math.max(1, #windows - WINDOWS + 1))
end
