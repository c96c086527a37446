"""
What people are called, by the culture that they come from: given names, family names, and the script
in which they write them themselves.

Accents, apostrophes, scripts from right to left and characters beyond the first Unicode plane are in
here on purpose: a hospital has patients with each of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fhir_server.population.dice import Weighted

Name = tuple[str, str]
"""As written in Latin letters, and in the own script; the second is empty where that is Latin."""


@dataclass(frozen=True, slots=True)
class Culture:
    """`races` are codes of CDC's race set; `families` may have a form for each sex."""

    language: str
    language_name: str
    races: Weighted[str]
    hispanic: bool
    given: Mapping[str, tuple[Name, ...]]
    families: Mapping[str, tuple[Name, ...]]
    ideographic: bool = False
    family_first: bool = False


def _latin(names: str) -> tuple[Name, ...]:
    return tuple((name, "") for name in names.split())


def _pairs(names: str) -> tuple[Name, ...]:
    pairs = [pair.partition("=") for pair in names.split()]
    return tuple((latin, own) for latin, _, own in pairs)


def _both(names: tuple[Name, ...]) -> Mapping[str, tuple[Name, ...]]:
    return {"female": names, "male": names}


WHITE: Final = "2106-3"
BLACK: Final = "2054-5"
ASIAN: Final = "2028-9"
NATIVE: Final = "1002-5"
ISLANDER: Final = "2076-8"

ENGLISH = Culture(
    "en",
    "English",
    Weighted([(WHITE, 74), (BLACK, 22), (NATIVE, 2.5), (ISLANDER, 1.5)]),
    hispanic=False,
    given={
        "female": _latin(
            "Abigail Alice Amara Ashley Barbara Beatrice Brianna Camille Caroline Charlotte Chloe Deborah "
            "Denise Dorothy Eleanor Ebony Elizabeth Emma Evelyn Faith Grace Hannah Imani Isabel Jasmine "
            "Jennifer Joan Keisha Latoya Laura Linda Lucy Margaret Martha Mary Naomi Nicole Olivia Pamela "
            "Patricia Rachel Rebecca Ruth Sarah Shanice Sophie Susan Tamika Victoria Zoë"
        ),
        "male": _latin(
            "Aaron Adam Albert Andre Andrew Anthony Benjamin Brandon Charles Christopher Daniel Darius "
            "David DeShawn Donald Edward Elijah Eric Frank George Henry Isaiah Jack Jacob Jamal James "
            "Jason John Joseph Joshua Kenneth Kevin Lamar Leon Malik Marcus Mark Matthew Michael Nathan "
            "Noah Oliver Paul Peter Reginald Richard Robert Samuel Terrence Thomas Tyrone Walter William "
            "Xavier"
        ),
    },
    families=_both(
        _latin(
            "Adams Allen Anderson Baker Banks Bennett Booker Brooks Brown Butler Campbell Carter Clark "
            "Coleman Collins Cooper D'Amico Davis Dawson Edwards Ellis Evans Fisher Ford Foster Freeman "
            "Gibson Graham Gray Green Hall Harris Hayes Henderson Hill Howard Hughes Jackson James "
            "Jefferson Jenkins Johnson Jones Kelly King Lewis MacDonald Mason McAllister Miller Mitchell "
            "Moore Morgan Murphy Nelson O'Brien O'Sullivan Owens Parker Patterson Perry Phillips Powell "
            "Price Reed Richardson Roberts Robinson Rogers Ross Russell Sanders Scott Simmons Smith-Jones "
            "Smith Stewart Sullivan Taylor Thompson Turner Walker Ward Washington Watson White Williams "
            "Wilson Wood Wright Young"
        )
    ),
)

SPANISH = Culture(
    "es",
    "Spanish",
    Weighted([(WHITE, 85), (BLACK, 5), (NATIVE, 10)]),
    hispanic=True,
    given={
        "female": _latin(
            "Ángela Ana Belén Carmen Concepción Dolores Elena Gabriela Guadalupe Inés Isabel Jimena "
            "Josefina Lucía Luz María Marisol Mónica Noemí Paloma Pilar Raquel Rocío Rosa Sofía Valentina "
            "Verónica Ximena Yolanda"
        ),
        "male": _latin(
            "Adrián Alejandro Álvaro Andrés Ángel Antonio Carlos César Diego Eduardo Emilio Enrique Felipe "
            "Fernando Francisco Gonzalo Héctor Iván Javier Jesús Joaquín Jorge José Juan Julián Luis "
            "Manuel Martín Miguel Óscar Pablo Raúl Ramón Rubén Tomás Víctor"
        ),
    },
    families=_both(
        _latin(
            "Álvarez Aguilar Calderón Castañeda Chávez Delgado Díaz Domínguez Espinoza Fernández Flores "
            "Fuentes García Gómez González Guzmán Gutiérrez Hernández Herrera Ibáñez Jiménez León López "
            "Maldonado Márquez Martínez Medina Mejía Méndez Molina Morales Muñoz Núñez Ortiz Peña Pérez "
            "Quiñones Ramírez Ramos Reyes Ríos Rivera Rodríguez Rojas Ruiz Sánchez Sandoval Santiago Soto "
            "Suárez Torres Treviño Valdés Vargas Vásquez Vega Zúñiga"
        )
    ),
)

CHINESE = Culture(
    "zh",
    "Chinese",
    Weighted([(ASIAN, 1)]),
    hispanic=False,
    given={
        "female": _pairs(
            "Fang=芳 Hui=慧 Jing=静 Juan=娟 Lan=兰 Li=丽 Mei=梅 Min=敏 Na=娜 Ting=婷 Xia=霞 Xiu=秀 Yan=燕 "
            "Ying=英 Yu=玉 Zhen=珍 Xiaoyan=晓燕 Meiling=美玲"
        ),
        "male": _pairs(
            "Bo=波 Chao=超 Feng=峰 Gang=刚 Hao=浩 Jian=建 Jie=杰 Jun=军 Lei=磊 Liang=亮 Ming=明 Peng=鹏 "
            "Qiang=强 Tao=涛 Wei=伟 Yong=勇 Jianguo=建国 Zhiqiang=志强"
        ),
    },
    families=_both(
        _pairs(
            "Chen=陈 Deng=邓 Guo=郭 He=何 Hu=胡 Huang=黄 Li=李 Lin=林 Liu=刘 Luo=罗 Ma=马 Sun=孙 Wang=王 "
            "Wu=吴 Xu=徐 Yang=杨 Zhang=张 Zhao=赵 Zhou=周 Zhu=朱 Ouyang=欧阳"
        )
    ),
    ideographic=True,
    family_first=True,
)

JAPANESE = Culture(
    "ja",
    "Japanese",
    Weighted([(ASIAN, 1)]),
    hispanic=False,
    given={
        "female": _pairs(
            "Aoi=葵 Hana=花 Haruka=遥 Hina=陽菜 Keiko=恵子 Mio=澪 Misaki=美咲 Naoko=直子 Sakura=桜 Yui=結衣"
        ),
        "male": _pairs(
            "Daiki=大輝 Haruto=陽翔 Hiroshi=浩 Kaito=海斗 Kenji=健二 Ren=蓮 Sota=颯太 Takashi=隆 Yuto=悠斗"
        ),
    },
    families=_both(
        _pairs(
            "Ito=伊藤 Kato=加藤 Kobayashi=小林 Nakamura=中村 Sato=佐藤 Suzuki=鈴木 Takahashi=高橋 "
            "Tanaka=田中 Watanabe=渡辺 Yamada=山田 Yamamoto=山本 Yoshida=𠮷田"
        )
    ),
    ideographic=True,
    family_first=True,
)

KOREAN = Culture(
    "ko",
    "Korean",
    Weighted([(ASIAN, 1)]),
    hispanic=False,
    given={
        "female": _pairs(
            "Eunji=은지 Hyejin=혜진 Jiwoo=지우 Jiyoung=지영 Minji=민지 Seoyeon=서연 Soojin=수진 Yuna=유나"
        ),
        "male": _pairs(
            "Donghyun=동현 Hyunwoo=현우 Jihoon=지훈 Joonho=준호 Minjun=민준 Seojun=서준 Sungmin=성민"
        ),
    },
    families=_both(_pairs("Choi=최 Chung=정 Han=한 Jang=장 Kang=강 Kim=김 Lee=이 Park=박 Shin=신 Yoon=윤")),
    family_first=True,
)

VIETNAMESE = Culture(
    "vi",
    "Vietnamese",
    Weighted([(ASIAN, 1)]),
    hispanic=False,
    given={
        "female": _latin(
            "Anh Bích Châu Diệu Hạnh Hương Lan Linh Mai Ngọc Nhung Phượng Thảo Thủy Trinh Tuyết Yến"
        ),
        "male": _latin("Bảo Cường Đức Dũng Hải Hiếu Hùng Khánh Long Minh Nam Phúc Quân Sơn Thắng Tuấn Việt"),
    },
    families=_both(_latin("Bùi Đặng Đỗ Dương Hoàng Huỳnh Lê Lý Ngô Nguyễn Phạm Phan Trần Trương Võ Vũ")),
)

HINDI = Culture(
    "hi",
    "Hindi",
    Weighted([(ASIAN, 1)]),
    hispanic=False,
    given={
        "female": _pairs(
            "Aditi=अदिति Ananya=अनन्या Deepika=दीपिका Kavita=कविता Lakshmi=लक्ष्मी Meera=मीरा Priya=प्रिया "
            "Sunita=सुनीता"
        ),
        "male": _pairs(
            "Aarav=आरव Amit=अमित Arjun=अर्जुन Rahul=राहुल Rajesh=राजेश Sanjay=संजय Vijay=विजय Vikram=विक्रम"
        ),
    },
    families=_both(
        _pairs("Gupta=गुप्ता Joshi=जोशी Kumar=कुमार Mehta=मेहता Patel=पटेल Sharma=शर्मा Singh=सिंह Verma=वर्मा")
    ),
)

ARABIC = Culture(
    "ar",
    "Arabic",
    Weighted([(WHITE, 1)]),
    hispanic=False,
    given={
        "female": _pairs(
            "Aisha=عائشة Amina=أمينة Fatima=فاطمة Hala=هالة Khadija=خديجة Layla=ليلى Maryam=مريم Noor=نور "
            "Yasmin=ياسمين"
        ),
        "male": _pairs(
            "Ahmad=أحمد Ali=علي Hassan=حسن Ibrahim=إبراهيم Khalid=خالد Mahmoud=محمود Omar=عمر Tariq=طارق "
            "Yusuf=يوسف"
        ),
    },
    families=_both(
        _pairs(
            "Aziz=عزيز Farouk=فاروق Haddad=حداد Hussein=حسين Khoury=خوري Mansour=منصور Nasser=ناصر Saleh=صالح"
        )
    ),
)

RUSSIAN = Culture(
    "ru",
    "Russian",
    Weighted([(WHITE, 1)]),
    hispanic=False,
    given={
        "female": _pairs(
            "Anna=Анна Ekaterina=Екатерина Irina=Ирина Ludmila=Людмила Natalia=Наталья Olga=Ольга "
            "Svetlana=Светлана"
        ),
        "male": _pairs(
            "Alexei=Алексей Boris=Борис Dmitri=Дмитрий Fyodor=Фёдор Ivan=Иван Nikolai=Николай Sergei=Сергей"
        ),
    },
    families={
        "female": _pairs(
            "Ivanova=Иванова Kuznetsova=Кузнецова Petrova=Петрова Smirnova=Смирнова Volkova=Волкова"
        ),
        "male": _pairs("Ivanov=Иванов Kuznetsov=Кузнецов Petrov=Петров Smirnov=Смирнов Volkov=Волков"),
    },
)

GREEK = Culture(
    "el",
    "Greek",
    Weighted([(WHITE, 1)]),
    hispanic=False,
    given={
        "female": _pairs("Athina=Αθηνά Despina=Δέσποινα Eleni=Ελένη Katerina=Κατερίνα Sofia=Σοφία"),
        "male": _pairs("Dimitris=Δημήτρης Giorgos=Γιώργος Kostas=Κώστας Nikos=Νίκος Stavros=Σταύρος"),
    },
    families={
        "female": _pairs("Georgiou=Γεωργίου Nikolaidou=Νικολαΐδου Papadopoulou=Παπαδοπούλου Vlahou=Βλάχου"),
        "male": _pairs("Georgiou=Γεωργίου Nikolaidis=Νικολαΐδης Papadopoulos=Παπαδόπουλος Vlahos=Βλάχος"),
    },
)

HEBREW = Culture(
    "he",
    "Hebrew",
    Weighted([(WHITE, 1)]),
    hispanic=False,
    given={
        "female": _pairs("Hannah=חנה Miriam=מרים Noa=נועה Rachel=רחל Shira=שירה Tamar=תמר"),
        "male": _pairs("Avraham=אברהם David=דוד Eitan=איתן Moshe=משה Noam=נועם Yosef=יוסף"),
    },
    families=_both(_pairs("Biton=ביטון Cohen=כהן Friedman=פרידמן Levi=לוי Mizrahi=מזרחי Peretz=פרץ")),
)

EUROPEAN = Culture(
    "en",
    "English",
    Weighted([(WHITE, 1)]),
    hispanic=False,
    given={
        "female": _latin(
            "Aoife Amélie Anaïs Åsa Björk Božena Chloë Dagný Élodie Françoise Gisèle Hélène Małgorzata "
            "Maëlle Sinéad Siân Thérèse Tünde Zsófia Łucja"
        ),
        "male": _latin(
            "Åke André Björn Eoin Étienne François Gábor Günther Håkon István Jérôme Jörg Loïc Mátyás "
            "Paweł Seán Søren Tomáš Wojciech Žiga Þór"
        ),
    },
    families=_both(
        _latin(
            "Åström Bjørnstad Çelik Dvořák Fischer Gößmann Håkansson Kaçar Kovács Kowalczyk Lefèvre "
            "Łukasik Mõtus Müller Nagy Novák Ólafsson Öztürk Pålsson Põld Schröder Strauß Šimić Żeromski "
            "d'Aubigné van-der-Berg"
        )
    ),
)

CULTURES: Final = Weighted(
    [
        (ENGLISH, 600),
        (SPANISH, 185),
        (EUROPEAN, 80),
        (CHINESE, 30),
        (HINDI, 22),
        (VIETNAMESE, 20),
        (ARABIC, 16),
        (RUSSIAN, 14),
        (KOREAN, 13),
        (JAPANESE, 9),
        (HEBREW, 6),
        (GREEK, 5),
    ]
)
