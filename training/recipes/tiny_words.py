"""The vocabulary of make_tiny_text.py: short, common words that all templates share."""

from typing import Final

NAMES: Final = (
    "Anna", "Ben", "Clara", "David", "Emma", "Felix", "Greta", "Hugo", "Ida", "Jonas", "Lena", "Max", "Mia",
    "Nora", "Otto", "Paul", "Rosa", "Sam", "Tom", "Vera",
)  # fmt: skip
PLACES: Final = (
    "in the garden", "in the kitchen", "at school", "in the barn", "at the market", "in the library", "at the station",
    "in the field", "in the shop", "by the river", "at the church", "on the hill",
)  # fmt: skip
THINGS: Final = (
    "key", "hat", "book", "cup", "ball", "letter", "lamp", "spoon", "glove", "coin", "basket", "umbrella",
    "apple", "rope", "bell", "map",
)  # fmt: skip
COLOURS: Final = (
    "red", "blue", "green", "white", "black", "brown", "grey", "yellow",
)  # fmt: skip
FRUITS: Final = (
    "apple", "pear", "plum", "cherry", "lemon", "orange",
)  # fmt: skip
VEGETABLES: Final = (
    "carrots", "potatoes", "onions", "beans", "peas", "tomatoes",
)  # fmt: skip
DAYS: Final = (
    "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday",
)  # fmt: skip
MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip
NUMBERS: Final = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
WEATHERS: Final = (
    ("sunny", "The sky was blue", "sat in the grass"),
    ("rainy", "The street was wet", "stayed inside and read"),
    ("windy", "The leaves were dancing", "flew a kite on the hill"),
    ("cold", "There was ice on the pond", "put on a coat and two scarves"),
    ("hot", "There was no wind at all", "swam in the lake"),
    ("foggy", "Nobody could see the church", "waited until the fog was gone"),
)
# name: (home, food, what it does, how many legs)
ANIMALS: Final = {
    "cow": ("on the farm", "grass", "gives milk", "four"),
    "horse": ("in the stable", "hay", "can run fast", "four"),
    "sheep": ("on the hill", "grass", "gives wool", "four"),
    "hen": ("in the yard", "corn", "lays eggs", "two"),
    "duck": ("by the pond", "water plants", "can swim and fly", "two"),
    "dog": ("in the house", "meat", "guards the door", "four"),
    "cat": ("in the house", "mice", "sleeps in the sun", "four"),
    "fox": ("in the forest", "mice and berries", "hunts by night", "four"),
    "bear": ("in the forest", "berries and fish", "sleeps in winter", "four"),
    "owl": ("in an old tree", "mice", "flies by night", "two"),
    "frog": ("by the pond", "flies", "can jump far", "four"),
    "bee": ("in a hive", "nectar", "makes honey", "six"),
    "spider": ("in its web", "flies", "spins a thread", "eight"),
    "goat": ("in the mountains", "leaves", "can climb well", "four"),
    "squirrel": ("in the trees", "nuts", "hides food for the winter", "four"),
    "swallow": ("under the roof", "insects", "flies south in autumn", "two"),
}
OPPOSITES: Final = (
    ("big", "small"), ("hot", "cold"), ("long", "short"), ("old", "young"), ("high", "low"), ("fast", "slow"),
    ("full", "empty"), ("wet", "dry"), ("loud", "quiet"), ("hard", "soft"), ("light", "dark"), ("early", "late"),
    ("open", "closed"), ("happy", "sad"), ("clean", "dirty"), ("thick", "thin"), ("near", "far"), ("strong", "weak"),
)  # fmt: skip
PAST: Final = (
    ("go", "went"), ("see", "saw"), ("eat", "ate"), ("come", "came"), ("give", "gave"), ("take", "took"),
    ("find", "found"), ("write", "wrote"), ("sing", "sang"), ("run", "ran"), ("drink", "drank"), ("buy", "bought"),
    ("bring", "brought"), ("think", "thought"), ("know", "knew"), ("fly", "flew"), ("sleep", "slept"), ("fall", "fell"),
)  # fmt: skip
JOBS: Final = (
    ("baker", "bakes bread"), ("farmer", "works in the field"), ("teacher", "teaches children"),
    ("doctor", "helps people who are ill"), ("fisherman", "catches fish"), ("gardener", "grows flowers"),
    ("driver", "drives the bus"), ("smith", "works with iron"), ("cook", "cooks soup"), ("miller", "makes flour"),
)  # fmt: skip
COLOURED: Final = (
    ("snow", "white"), ("coal", "black"), ("grass", "green"), ("the sky", "blue"), ("a lemon", "yellow"),
    ("a cherry", "red"), ("earth", "brown"), ("fog", "grey"), ("blood", "red"), ("milk", "white"),
    ("the sun", "yellow"),
)  # fmt: skip
