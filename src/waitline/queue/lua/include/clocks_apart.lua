-- Tolerated difference between the clocks of two nodes, in ms. Beyond it one of them is wrong.
local CLOCKS_APART_MAX = 1000
